"""Makes a root filesystem of a file of the user's, in a work directory.

squashfs and ext4 stay where they are: the work directory gets a link. A tar is packed as a layer of
an OCI image is, and a qcow2 file is copied out.
"""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from services.images.library.describe import EXT4, SEED, SQUASHFS
from services.images.oci.flatten.flattening import flatten
from services.images.oci.flatten.indexing import OnProgress
from services.images.rootfs.formats import check_qcow2, find_filesystem, format_of
from shared.errors import BangerError, Code
from shared.host.files import require_space
from shared.host.programs import find_program, search_path
from shared.plain_text import printable

_FILES = {"squashfs": SQUASHFS, "ext4": EXT4}
_RAW = "disk.raw"


@dataclass(frozen=True)
class OneLayer:
    """A tar as the only layer of an image; nobody has said which sum it has."""

    path: Path
    diff_id: str = ""


@dataclass(frozen=True)
class TakenRootfs:
    external: Path | None = None
    """The user's file, when the image is only a link to it."""
    notices: tuple[str, ...] = ()
    """What the image lacks of its source."""


def take_rootfs(source: Path, work: Path, progress: OnProgress) -> TakenRootfs:
    """Leave ``rootfs.squashfs`` or ``rootfs.ext4`` in ``work``.

    Raises:
        BangerError: ``invalid``, ``too_large``, ``no_space``, ``missing_tool``.
        OSError: when it cannot be read.
    """
    kind = format_of(source)
    if kind in ("squashfs", "ext4"):
        (work / _FILES[kind]).symlink_to(source)
        return TakenRootfs(external=source)
    require_space(work.parent, source.stat().st_size, f"the image of {source.name}")
    if kind == "tar":
        return TakenRootfs(notices=flatten([OneLayer(source)], work / SQUASHFS, progress=progress))
    _copy_out(source, work)
    return TakenRootfs()


def _copy_out(source: Path, work: Path) -> None:
    """The filesystem on the disk of a qcow2 file."""
    check_qcow2(source)
    raw = work / _RAW
    _run("qemu-img", "qemu-utils", "convert", "-f", "qcow2", "-O", "raw", str(source), str(raw))
    size = raw.stat().st_size
    with raw.open("rb") as disk:
        found = find_filesystem(disk, size)
    target = work / _FILES[found.format]
    if (found.start, found.size) == (0, size):
        raw.rename(target)
        return
    part = f"driver=raw,offset={found.start},size={found.size}"
    name = str(raw).replace(",", ",,")
    options = f"{part},file.driver=file,file.filename={name}"
    _run("qemu-img", "qemu-utils", "convert", "--image-opts", options, "-O", "raw", str(target))
    raw.unlink()


def pack_seed(directory: Path, work: Path) -> None:
    """Leave ``seed.tar.zst`` with the content of ``directory``, which root owns in the guest.

    Raises:
        BangerError: ``invalid``, ``no_space``, ``missing_tool``.
    """
    if not directory.is_dir():
        raise BangerError(Code.INVALID, f"{directory} is not a directory")
    owner = ("--owner=0", "--group=0", "--numeric-owner", "--sort=name")
    where = ("--create", f"--file={work / SEED}", "--use-compress-program=zstd -q -T0")
    _run("tar", "tar", *owner, "--one-file-system", *where, f"--directory={directory}", ".")


def _run(program: str, package: str, *words: str) -> None:
    found = find_program(program)
    if found is None:
        hint = f"sudo apt install {package}"
        raise BangerError(Code.MISSING_TOOL, f"{program}: not installed", hint=hint)
    done = subprocess.run(
        [found, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "LC_ALL": "C.UTF-8", "PATH": search_path()},
        check=False,
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        code = Code.NO_SPACE if "No space left" in said else Code.INVALID
        raise BangerError(code, f"{program} failed: {printable(said, 300)}")
