"""The helper on its way into a jail: what it opens, mounts and refuses. A shell stands in for the
jailer; the mounts are in a namespace of the helper's own."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from services.nat.jail import enter
from services.nat.jail.plan import JailFile, JailSpec
from shared.vm import files

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes jails")

USER, JAIL = 65534, 65533


@dataclass
class Place:
    """Directories as a user and root have them, and the specification of a jail there."""

    root: Path
    spec: JailSpec

    @property
    def home(self) -> Path:
        return self.root / "home"

    def enter(self, *shell: str, **changes: object) -> subprocess.CompletedProcess[str]:
        """Run the helper; then these commands of the shell, in the chroot's directory."""
        script = "\n".join((f"cd {self.spec.chroot}", *shell))
        spec = replace(self.spec, argv=("/bin/sh", "-c", script), **changes)  # type: ignore[arg-type]
        return subprocess.run(
            [sys.executable, "-I", "-S", enter.__file__],
            input=json.dumps(spec.as_json()),
            capture_output=True,
            text=True,
            timeout=30,
        )

    def output(self) -> str:
        return (self.home / files.CONSOLE_LOG).read_text()


def users_file(path: Path, content: str, mode: int = 0o644) -> str:
    path.write_text(content)
    path.chmod(mode)
    os.chown(path, USER, USER)
    return str(path)


@pytest.fixture
def place() -> Iterator[Place]:
    root = Path(tempfile.mkdtemp(prefix="bngr", dir="/tmp"))
    root.chmod(0o755)
    home, chroot = root / "home", root / "jail"
    chroot.mkdir(mode=0o700)
    for directory in (home, home / "sockets"):
        directory.mkdir(mode=0o755)
        os.chown(directory, USER, USER)
    os.mkfifo(home / files.CONSOLE_INPUT)
    os.chown(home / files.CONSOLE_INPUT, USER, USER)
    outputs = {name: users_file(home / name, "") for name in (files.CONSOLE_LOG, files.VMM_LOG)}
    spec = JailSpec(
        uid=USER,
        gid=USER,
        groups=(USER,),
        jail=JAIL,
        chroot=str(chroot),
        chroot_mib=1,
        files=(
            JailFile("/boot/kernel", (users_file(home / "kernel", "a kernel"),), "shared"),
            JailFile("/disks/work", (users_file(home / "work", "a disk", 0o600),), "write"),
            JailFile("/logs/none", (str(home / "none"),), "write", optional=True),
        ),
        sockets=str(home / "sockets"),
        sockets_inside="/vm",
        stdin=str(home / files.CONSOLE_INPUT),
        stdout=outputs[files.CONSOLE_LOG],
        stderr=outputs[files.VMM_LOG],
        argv=(),
    )
    yield Place(root, spec)
    shutil.rmtree(root)


def test_jail_has_the_files_and_its_mounts_end_with_the_process(place: Place) -> None:
    done = place.enter("cat boot/kernel", "echo written > disks/work", "ls logs 2>&1", "id -u")
    assert (done.returncode, done.stdout) == (0, "")
    assert place.output().startswith("a kernel")
    assert (place.home / "work").read_text() == "written\n"
    assert place.output().endswith("\n0\n")  # the jailer itself drops root's identity
    assert list(Path(place.spec.chroot).iterdir()) == []


def test_shared_file_is_read_only_and_nothing_is_run_from_the_jail(place: Place) -> None:
    place.enter(
        "(echo x > boot/kernel) 2>&1",
        "cp /bin/true vm/program; chmod 755 vm/program; vm/program 2>&1 || echo not run",
    )
    assert "Read-only file system" in place.output()
    assert "not run" in place.output()
    assert (place.home / "kernel").read_text() == "a kernel"


def test_jail_gets_group_access_to_its_own_files_alone(place: Place) -> None:
    place.enter("true")
    work, kernel = (place.home / "work").stat(), (place.home / "kernel").stat()
    assert (work.st_uid, work.st_gid, work.st_mode & 0o777) == (USER, JAIL, 0o660)
    assert (kernel.st_uid, kernel.st_gid, kernel.st_mode & 0o777) == (USER, USER, 0o644)


def refused(place: Place, path: Path, access: str = "write") -> str:
    file = JailFile("/disks/work", (str(path),), access)  # type: ignore[arg-type]
    done = place.enter("echo entered", files=(file,))
    assert done.returncode == 1
    assert place.output() == ""
    return str(json.loads(done.stdout)["message"])


def test_file_of_another_user_is_refused_even_when_all_may_write_it(place: Place) -> None:
    foreign = place.root / "foreign"
    foreign.write_text("of root")
    foreign.chmod(0o666)
    assert "does not belong to the user" in refused(place, foreign)
    assert foreign.stat().st_mode & 0o777 == 0o666


def test_file_that_the_user_cannot_open_is_not_opened(place: Place) -> None:
    secret = place.root / "secret"
    secret.write_text("of root")
    secret.chmod(0o600)
    assert "Permission denied" in refused(place, secret)


def test_link_is_not_followed_to_a_file(place: Place) -> None:
    link = place.home / "link"
    link.symlink_to(place.home / "work")
    assert "symbolic links" in refused(place, link)


def test_fifo_in_place_of_a_disk_is_refused(place: Place) -> None:
    assert "not of the right kind" in refused(place, place.home / files.CONSOLE_INPUT)


def test_shared_file_must_be_readable_by_all_users(place: Place) -> None:
    private = Path(users_file(place.home / "private", "x", 0o600))
    assert "chmod a+r" in refused(place, private, "shared")


def test_missing_file_is_an_error_unless_it_is_optional(place: Place) -> None:
    assert "No such file" in refused(place, place.home / "none")


def plant(sockets: Path, beside: Path) -> None:
    """What a hostile Firecracker may leave in the directory that it shares with the user."""
    (sockets / files.API_SOCKET / "inside").mkdir(parents=True)
    (sockets / files.AGENT_SOCKET).symlink_to(beside)
    (sockets / "out").symlink_to("/", target_is_directory=True)
    os.mkfifo(sockets / "fifo")
    (sockets / os.fsdecode(b"\xff\n")).write_text("a name")
    os.link(sockets / os.fsdecode(b"\xff\n"), sockets / "twice")
    fd = os.open(sockets, os.O_RDONLY)
    for _ in range(3000):  # deeper than a path may be long, and than Python recurses
        os.mkdir("d", 0o700, dir_fd=fd)
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    for planted in sockets.iterdir():
        os.chown(planted, JAIL, JAIL, follow_symlinks=False)
        if planted.is_dir() and not planted.is_symlink():
            planted.chmod(0)


def test_next_jail_begins_in_an_empty_directory_whatever_the_last_one_planted(
    place: Place,
) -> None:
    beside = Path(users_file(place.home / "beside", "kept"))
    plant(place.home / "sockets", beside)
    done = place.enter("ls -A vm > /dev/stdout; exit 0")
    assert (done.returncode, done.stdout) == (0, "")
    assert place.output() == ""
    assert beside.read_text() == "kept"
    assert list((place.home / "sockets").iterdir()) == []


def clean(**spec: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-S", enter.__file__],
        input=json.dumps({"uid": USER, "gid": USER, "groups": [], **spec}),
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_after_its_end_nothing_is_left_that_the_user_could_not_remove(place: Place) -> None:
    sockets, beside = place.home / "sockets", Path(users_file(place.home / "beside", "kept"))
    plant(sockets, beside)
    done = clean(sockets=str(sockets))
    assert (done.returncode, done.stdout) == (0, "")
    assert list(sockets.iterdir()) == []
    assert beside.read_text() == "kept"
    assert clean(sockets=str(place.home / "gone")).returncode == 0


def test_directory_that_is_a_link_or_somebody_elses_is_not_emptied(place: Place) -> None:
    other = place.root / "other"
    other.mkdir(mode=0o755)
    (other / "file").write_text("kept")
    (place.home / "link").symlink_to(other)
    for directory in (place.home / "link", other):
        assert clean(sockets=str(directory)).returncode == 1
    assert (other / "file").read_text() == "kept"
