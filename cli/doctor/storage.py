"""Directories and the database. Nothing is created."""

import os
import pwd
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from cli.doctor.finding import fail, ok, warn
from shared.config import Config
from shared.errors import BangerError
from shared.paths import Paths, check_private, check_served_from, check_socket_length
from shared.vmm.info import Finding

SQLITE = b"SQLite format 3\x00"
GIB = 1024**3
WARN_BELOW, FAIL_BELOW = 5 * GIB, GIB // 2
RUNTIME = Path("/run/user")
LINGER = Path("/var/lib/systemd/linger")
"""systemd-logind's: a file with the name of each user who lingers."""
KEEP = "the services stop then, VMs run on; keep it: loginctl enable-linger"


def run_directory(paths: Paths, _config: Config) -> Iterator[Finding]:
    name = "run directory"
    try:
        check_served_from(str(paths.state), str(paths.run))
        check_socket_length(paths.run)
        check_private(paths.run)
    except FileNotFoundError:
        yield ok(name, f"{paths.run} does not exist yet")
    except BangerError as error:
        yield fail(name, error.message, error.hint)
    else:
        yield ok(name, f"{paths.run}, private")
    if vanishes_at_logout(paths.run):
        yield warn("log-out", f"{paths.run} is removed when you log out", KEEP)


def vanishes_at_logout(run: Path, users: Path = RUNTIME, linger: Path = LINGER) -> bool:
    """Whether the run directory goes with its user's last session: systemd-logind removes what is
    below /run/user unless the user lingers (pam_systemd(8), loginctl(1))."""
    if not run.is_relative_to(users):
        return False
    try:
        name = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return True
    return not (linger / name).exists()


def store(paths: Paths, config: Config) -> Iterator[Finding]:
    """Whether the file can be read, belongs to this user and is a database. The store checks the
    schema."""
    if config.database_url:
        yield ok("store", "external database, set by database_url")
        return
    path = paths.database
    try:
        with path.open("rb") as file:
            magic = file.read(len(SQLITE))
            owner = os.fstat(file.fileno()).st_uid
    except FileNotFoundError:
        yield ok("store", "not created yet; the services create it")
        return
    except OSError as error:
        yield fail("store", f"{path}: {error.strerror}", f"check its owner and mode: ls -l {path}")
        return
    if owner != os.geteuid():
        yield fail(
            "store",
            f"{path} belongs to uid {owner}",
            f"change the owner: chown {os.geteuid()} {path}",
        )
    elif magic not in (SQLITE, b""):
        yield fail("store", f"{path} is not an SQLite database", "move it away or restore a backup")
    else:
        yield ok("store", str(path))


def disk_space(paths: Paths, _config: Config) -> Iterator[Finding]:
    for what, root in (("data", paths.data), ("state", paths.state)):
        existing = _existing(root)
        free = shutil.disk_usage(existing).free
        yield space(f"{what} disk", f"{free / GIB:.1f} GiB free at {existing}", free)


def templates(paths: Paths, config: Config) -> Iterator[Finding]:
    """What is kept to start new VMs from."""
    limit = config.templates.limit
    if not config.templates.limit_bytes:
        yield ok("templates", "none are made: templates.limit is 0 in the configuration")
        return
    sizes = [_occupied(place) for place in paths.templates.glob("[!.]*/")]
    yield ok("templates", f"{len(sizes)}, {sum(sizes) / GIB:.1f} GiB of at most {limit}")
    pool = config.warm_pool
    waits = f"{pool} ready while VMs are made" if pool else "none: warm_pool is 0"
    yield ok("warm pool", waits)


def _occupied(directory: Path) -> int:
    with suppress(FileNotFoundError):  # removed meanwhile
        return sum(path.stat().st_blocks * 512 for path in directory.iterdir())
    return 0


def _existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.exists())


def space(name: str, found: str, free: int) -> Finding:
    """``free`` in bytes: an image takes 1 GiB while it is built, a VM what it writes."""
    if free < FAIL_BELOW:
        return fail(
            name, found, "free some space, or set XDG_DATA_HOME and XDG_STATE_HOME to another disk"
        )
    if free < WARN_BELOW:
        return warn(name, found, "builds and VMs may run out of space")
    return ok(name, found)
