"""What a repository is, to the last bit: for "it was not touched"."""

import hashlib
import os
import stat
from pathlib import Path

Fingerprint = dict[bytes, tuple[object, ...]]


def fingerprint(*tops: Path, times: bool = True) -> Fingerprint:
    """Every file below the directories: kind, mode, owner, size, time of change, and its bytes.

    Index, refs, reflogs, stash, configuration and objects are files below ``.git``. Directories
    have their time of change as well, so a file that came and went is seen.

    ``times`` off: git renews the time of an object that it is to write and finds in an alternate.
    """
    found: Fingerprint = {}
    for top in tops:
        found[os.fsencode(top)] = _facts(os.fsencode(top), times)
        for directory, names, files in os.walk(os.fsencode(top)):
            for name in (*names, *files):
                path = os.path.join(directory, name)  # noqa: PTH118  bytes
                found[path] = _facts(path, times)
    return found


def _facts(path: bytes, times: bool) -> tuple[object, ...]:
    about = os.lstat(path)
    content: object = None
    if stat.S_ISREG(about.st_mode) and about.st_blocks * 512 < 1 << 24:
        with open(path, "rb") as opened:
            content = hashlib.sha256(opened.read()).hexdigest() if about.st_blocks else None
    elif stat.S_ISLNK(about.st_mode):
        content = Path(os.fsdecode(path)).readlink()
    facts = (about.st_mode, about.st_uid, about.st_gid, content)
    if not times:
        return facts
    if stat.S_ISDIR(about.st_mode):
        return (*facts, about.st_mtime_ns)
    return (*facts, about.st_mtime_ns, about.st_ctime_ns, about.st_ino)
