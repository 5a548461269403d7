"""Keys are made once; the pin is one line; a master that hangs holds nobody up."""

import asyncio
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from services.vm_supervisor.guest import ssh
from services.vm_supervisor.guest.ssh import (
    ensure_key,
    known_hosts_line,
    master_pid,
    start_master,
    stop_master,
    write_known_hosts,
)
from shared.contract.ssh_access import Access, master_argv
from shared.errors import BangerError
from shared.host.process import start_time
from shared.vm import files
from tests.waiting import eventually


def test_a_key_is_made_once_and_is_private(tmp_path: Path) -> None:
    first = ensure_key(tmp_path / "ssh" / "id")
    assert first == ensure_key(tmp_path / "ssh" / "id")
    assert first.private.startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    assert first.public.startswith("ssh-ed25519 ")
    assert (tmp_path / "ssh" / "id").stat().st_mode & 0o777 == 0o600


def test_a_key_that_others_may_read_is_made_private_again(tmp_path: Path) -> None:
    """ssh would ignore it, and the guest would seem to refuse it."""
    made = ensure_key(tmp_path / "ssh" / "id")
    (tmp_path / "ssh" / "id").chmod(0o644)
    assert ensure_key(tmp_path / "ssh" / "id") == made
    assert (tmp_path / "ssh" / "id").stat().st_mode & 0o777 == 0o600


def test_the_pin_is_by_alias_and_without_the_comment() -> None:
    assert known_hosts_line("vm", "ssh-ed25519 AAAA me@here") == "vm ssh-ed25519 AAAA\n"


def test_a_new_pin_replaces_the_old_one(tmp_path: Path) -> None:
    pins = tmp_path / files.KNOWN_HOSTS
    access = Access("127.77.0.2", 22, "id", str(pins), "vm", "socket")
    write_known_hosts(access, "ssh-ed25519 OLD")
    write_known_hosts(access, "ssh-ed25519 NEW")
    assert pins.read_text() == "vm ssh-ed25519 NEW\n"


@pytest.mark.parametrize("program", ["#!/bin/sh\nexec sleep 60\n", None])
def test_a_master_that_cannot_be_asked_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str | None
) -> None:
    if program:
        (tmp_path / "ssh").write_text(program)
        (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin" if program else str(tmp_path))
    monkeypatch.setattr(ssh, "CONTROL_SECONDS", 0.05)
    control = tmp_path / files.SSH_SOCKET
    control.touch()
    access = Access("127.77.0.2", 22, "id", "pins", "vm", str(control))

    async def scenario() -> None:
        async with asyncio.timeout(10):
            assert await master_pid(access) is None
            await stop_master(access)

    asyncio.run(scenario())
    assert not control.exists()


def test_a_master_has_ended_when_it_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It acknowledges first and ends then: "stopped" must not come in between."""
    master = subprocess.Popen(["sleep", "60"])
    program = tmp_path / "ssh"
    program.write_text(
        f"""#!/bin/sh
case "$*" in
*check*) echo "Master running (pid={master.pid})" >&2 ;;
*exit*) (kill {master.pid}) & echo "Exit request sent." >&2 ;;
esac
"""
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    control = tmp_path / files.SSH_SOCKET
    control.touch()
    asyncio.run(stop_master(Access("127.77.0.2", 22, "id", "pins", "vm", str(control))))
    assert start_time(master.pid) is None
    master.wait()
    assert not control.exists()


def test_an_attempt_that_is_cancelled_leaves_no_ssh_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "ssh"
    number = tmp_path / "pid"
    program.write_text(
        f"#!/bin/sh\necho $$ >{number}.new\nmv {number}.new {number}\nexec sleep 60\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    access = Access("127.77.0.2", 22, "id", "pins", "vm", str(tmp_path / "socket"))

    async def cancel_an_attempt() -> int:
        start = asyncio.create_task(start_master(access, tmp_path / "log", time.monotonic() + 50))
        await asyncio.to_thread(eventually, number.exists)
        start.cancel()
        await asyncio.wait([start])
        return int(number.read_text())

    pid = asyncio.run(cancel_an_attempt())
    eventually(lambda: start_time(pid) is None)


def test_a_master_that_a_killed_supervisor_has_left_connecting_is_ended(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        control, log = str(tmp_path / "socket"), tmp_path / "log"
        access = Access("127.0.0.1", port, str(tmp_path / "id"), "pins", "vm", control)
        left = subprocess.Popen(master_argv(access, str(log)))
        connected, _ = silent.accept()
        with connected, pytest.raises(BangerError):
            asyncio.run(start_master(access, log, time.monotonic() + 0.2, adopted=True))
        assert left.wait(timeout=10) == -signal.SIGKILL
