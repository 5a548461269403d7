"""Copies files of a build's context into its guest, as one tar stream.

The busybox that init has put into the guest unpacks it: an image need not have a tar. It reads GNU
headers, and no extended ones of pax.
"""

import os
import posixpath
import stat
import tarfile
from collections.abc import Iterable

from services.images.building.context_files import BuildContext, ContextFile, contents
from services.images.provision.commands import GuestCommands
from shared.contract.messages.build import BuildStep
from shared.errors import BangerError, Code
from shared.plain_text import printable
from shared.ssh.guest_end import GuestEnd

BUSYBOX = "/run/banger/busybox"
_UNPACK = f'{BUSYBOX} mkdir -p -- "$1" && exec {BUSYBOX} tar -x -p -f - -C "$1"'
_ID_OF_USER = 'id -u -- "$1"'
_ID_OF_GROUP = f"{BUSYBOX} awk -F: -v n=\"$1\" '$1 == n {{ print $3; exit }}' /etc/group"
_GROUP_OF_USER = 'id -g -- "$1"'
_BLOCK = 512


def copy(commands: GuestCommands, step: BuildStep, context: BuildContext) -> None:
    """Do a step of the kind ``copy``.

    Raises:
        BangerError: as ``BuildContext.copied``; ``not_found`` for an owner that the image does not
            have; ``guest_failed``.
    """
    copied = context.copied(step.sources, step.destination)
    owner = owner_of(commands, step.owner)
    place, name = step.destination, ""
    if not copied.into_directory and not commands.succeeds('[ -d "$1" ]', [place]):
        place, name = posixpath.split(place)
    members = tar_members(copied.files, owner, int(step.mode or "0", 8), name)

    def write(end: GuestEnd) -> None:
        for piece in members:
            if not end.write(piece):
                return  # its status says why it takes no more

    argv = ["/bin/sh", "-c", _UNPACK, "sh", place or "/"]
    commands.feed(f"the copy to {printable(step.destination, 200)}", argv, write)


def owner_of(commands: GuestCommands, owner: str) -> tuple[int, int]:
    """The uid and gid of ``USER[:GROUP]``, names or numbers. Raises ``not_found``."""
    user, colon, group = owner.partition(":")
    uid = _number(commands, _ID_OF_USER, user) if user else 0
    if colon and group:
        return uid, _number(commands, _ID_OF_GROUP, group)
    if user and not user.isdigit() and not colon:
        return uid, _number(commands, _GROUP_OF_USER, user)
    return uid, uid if user.isdigit() else 0


def _number(commands: GuestCommands, script: str, name: str) -> int:
    answer = name if name.isdigit() else commands.answer(script, [name]).strip()
    if not answer.isdigit() or int(answer) >= 1 << 32:
        raise BangerError(Code.NOT_FOUND, f"the image has no user or group {name!r}")
    return int(answer)


def tar_members(
    files: Iterable[ContextFile], owner: tuple[int, int], mode: int, name: str
) -> Iterable[bytes]:
    """The archive in pieces. ``mode`` in place of a file's own unless 0; ``name`` in place of a
    single file's own unless empty."""
    for each in files:
        header = tarfile.TarInfo(name or each.name)
        own = stat.S_IMODE(each.status.st_mode) & 0o7777
        header.mode = mode if mode and not each.is_directory else own
        header.uid, header.gid = owner
        header.mtime = max(0, int(each.status.st_mtime))
        if each.is_directory:
            header.type = tarfile.DIRTYPE
        elif each.is_file:
            header.size = each.status.st_size
        else:
            header.type, header.linkname = tarfile.SYMTYPE, os.fspath(each.path.readlink())
        yield header.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
        if each.is_file:
            yield from contents(each)
            yield bytes(-header.size % _BLOCK)
    yield bytes(2 * _BLOCK)
