"""What is at a destination on this host."""

import stat
from pathlib import Path

from cli.guest.transfer.causes import of_os_error
from cli.guest.transfer.plan import CopyTarget, TargetKind


def local_target(path: str, name: str) -> CopyTarget:
    """What is at ``path`` on this host, and in it under the name of a source."""
    try:
        kind = _kind(path, follow=True)
        parent = _kind(path.rstrip("/").rpartition("/")[0] or ("/" if path[0] == "/" else "."))
        inside = {}
        if kind is TargetKind.DIRECTORY and name:
            inside[name] = _kind(f"{path}/{name}", follow=False)
    except OSError as error:
        raise of_os_error(error, path) from None
    return CopyTarget(path, kind, parent, inside)


def _kind(path: str, *, follow: bool = True) -> TargetKind:
    try:
        mode = Path(path).stat(follow_symlinks=follow).st_mode
    except NotADirectoryError:
        return TargetKind.ABSENT
    except FileNotFoundError:
        return TargetKind.DANGLING if follow and Path(path).is_symlink() else TargetKind.ABSENT
    if stat.S_ISDIR(mode):
        return TargetKind.DIRECTORY
    return TargetKind.FILE if stat.S_ISREG(mode) or stat.S_ISLNK(mode) else TargetKind.SPECIAL
