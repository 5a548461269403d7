"""Who is in a jail, told by uid and words; and who only looks like it."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.nat.jail.processes import JailedProcesses
from shared.vm.jail import SPAN

VM = os.urandom(6).hex()
BASE = Path("/srv/banger-jail/1000")
UID = SPAN.start + 2
SHELL = str(Path("/bin/sh").resolve())
JAIL = JailedProcesses(VM, UID, BASE, frozenset({SHELL}))

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="jails are root's to look after")


@contextmanager
def process(*words: str, uid: int = 0) -> Iterator[int]:
    """One that has ``words`` on its command line and waits."""
    argv = ["sh", "-c", "echo; read x", "sh", *words]
    with subprocess.Popen(
        argv,
        cwd="/",
        user=uid,
        group=uid,
        extra_groups=[],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as started:
        assert started.stdout
        started.stdout.readline()
        yield started.pid


def test_helper_and_jailer_are_roots_and_name_the_directory_of_this_users_jails() -> None:
    with process("--id", f"banger-{VM}", "--chroot-base-dir", str(BASE)) as pid:
        assert [process.pid for process in JAIL] == [pid]


def test_program_that_a_user_has_root_run_with_these_words_is_not_in_the_jail() -> None:
    """As sudo is, whose command line has the words of what it runs."""
    ours = JailedProcesses(VM, UID, BASE, frozenset({"/usr/bin/jailer"}))
    with process("--id", f"banger-{VM}", "--chroot-base-dir", str(BASE)) as pid:
        assert [process.pid for process in JAIL] == [pid]
        assert not any(ours)


def test_firecracker_is_the_jails_in_either_form_of_the_option() -> None:
    for words in (("--id", f"banger-{VM}"), (f"--id=banger-{VM}",)):
        with process(*words, uid=UID) as pid:
            assert [process.pid for process in JAIL] == [pid]


@pytest.mark.parametrize(
    ("words", "uid"),
    [
        (("--id", f"banger-{VM}"), 0),
        (("--id", f"banger-{VM}", "--chroot-base-dir", "/srv/banger-jail/1001"), 0),
        (("--id", f"banger-{VM}", "--chroot-base-dir", str(BASE)), 65534),
        (("--id", f"banger-{VM}"), UID + 1),
        (("--id", "banger-ba9876543210"), UID),
        (("--id", f"banger-{VM}0"), UID),
    ],
    ids=["roots-own", "another-users", "a-users-process", "another-jail", "another-vm", "longer"],
)
def test_nobody_else_is_signalled(words: tuple[str, ...], uid: int) -> None:
    with process(*words, uid=uid) as pid:
        assert not JAIL.send(signal.SIGKILL)
        assert JAIL.end()
        assert Path(f"/proc/{pid}").exists()
        assert Path(f"/proc/{pid}/cmdline").read_bytes(), "a zombie has none"


def test_the_end_is_waited_for() -> None:
    with process(f"--id=banger-{VM}", uid=UID) as pid:
        assert JAIL.end()
        assert not Path(f"/proc/{pid}/cmdline").read_bytes()
        assert not any(JAIL)
