"""Publishes a finished directory: all of it, durably, or nothing.

The order makes a crash harmless at any point: the files are flushed, the manifest is written and
flushed, one rename makes the directory visible under its id, and another replaces the symbolic link
of its name. Readers see the old state or the new one, never a part.
"""

import errno
import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from services.images.library.config_limits import checked
from services.images.library.entry_name import file_name
from services.images.library.manifest import FILE_NAME, ImageManifest, M, Manifest, read
from services.images.library.scratch import PREFIX, Scratch
from shared.errors import BangerError, Code
from shared.host.files import is_full, sync

BY_NAME = "by-name"


def publish(work: Scratch, manifest: M) -> Path:
    """Move the files of ``work`` to ``<parent of work>/<id>`` and link the name to it.

    When the same content is published already, that directory is kept, unless it is damaged. Blocks
    until the disk has everything.

    Without a name it is found by its id only.

    Raises:
        BangerError: ``no_space`` or ``denied`` when the disk refuses; ``conflict`` when another
            content has the same id; ``invalid`` for a config as of ``checked``.
    """
    root = work.path.parent
    target = root / manifest.id
    if isinstance(manifest, ImageManifest) and manifest.config:
        checked(manifest.config)
    try:
        _finish(work.path, manifest)
        _rename(work.path, target, manifest)
        sync(root)
        if manifest.name:
            point(root, manifest.name, manifest.id)
    except OSError as error:
        raise refused(target, error) from error
    return target


@contextmanager
def together(root: Path) -> Iterator[None]:
    """Inside, nothing is pruned: an image that lies on another is published after it, and until
    then nobody needs the other one."""
    with _locked(root, fcntl.LOCK_SH):
        yield


@contextmanager
def exclusive(root: Path) -> Iterator[None]:
    """Inside, no images are published together.

    Raises:
        BangerError: ``busy`` while some are.
    """
    with _locked(root, fcntl.LOCK_EX | fcntl.LOCK_NB):
        yield


@contextmanager
def _locked(root: Path, how: int) -> Iterator[None]:
    directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(directory, how)
        yield
    except BlockingIOError:
        raise BangerError(
            Code.BUSY, "an image is being imported", hint="prune again when it is here"
        ) from None
    finally:
        os.close(directory)


def point(root: Path, name: str, identifier: str) -> None:
    """Make ``by-name/<name>`` a link to ``../<identifier>``, atomically."""
    names = root / BY_NAME
    names.mkdir(exist_ok=True)
    link = names / f"{PREFIX}{file_name(name)}"
    link.unlink(missing_ok=True)
    link.symlink_to(Path("..") / identifier)
    link.replace(names / file_name(name))
    sync(names)


def refused(path: Path, error: OSError) -> BangerError:
    """The error for a write that the operating system has refused."""
    if is_full(error):
        hint = f"free some space: df -h {path.parent}"
        return BangerError(Code.NO_SPACE, f"no space left for {path}", hint=hint)
    hint = f"check owner and mode: ls -ld {path.parent}"
    return BangerError(Code.DENIED, f"cannot write {path}: {error.strerror}", hint=hint)


def _finish(directory: Path, manifest: Manifest) -> None:
    _keep_only(directory, manifest.sums())
    for name in manifest.sums():
        if not (directory / name).is_symlink():  # a registered file stays as it is
            (directory / name).chmod(0o644)
            sync(directory / name)
    encoded = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (directory / FILE_NAME).write_bytes(encoded + b"\n")
    sync(directory / FILE_NAME)
    directory.chmod(0o755)
    sync(directory)


def _keep_only(directory: Path, names: Iterable[str]) -> None:
    """A published directory holds only what its manifest lists, so it can be removed safely."""
    strays = {path.name for path in directory.iterdir()} - set(names)
    if strays:
        raise BangerError(Code.INTERNAL, f"{directory} still holds {', '.join(sorted(strays))}")


def _rename(source: Path, target: Path, manifest: M) -> None:
    try:
        source.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        if not _is_there(target, manifest):
            target.rename(source.with_name(f"{source.name}.old"))
            source.rename(target)


def _is_there(directory: Path, manifest: M) -> bool:
    """Whether ``directory`` holds what is to be published, undamaged. Ids are short: somebody can
    make another image of the same id, which must not take the place of the first."""
    try:
        found = read(directory, type(manifest))
    except BangerError:
        return False
    if found.digest != manifest.digest:
        raise BangerError(
            Code.CONFLICT,
            f"{manifest.name or 'the new entry'} ({manifest.digest}) has the same id as "
            f"{found.name} ({found.digest}), which is another content",
            hint=f"delete the other one first, by its id ({directory.name}), if it is not needed",
        )
    return True
