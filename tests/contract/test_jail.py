"""The real jailer and the real Firecracker, put together by root's nat for an ordinary user.

As in test_firecracker.py no guest needs to run. The user's services and nat are processes in a
network namespace of the test; the driver is the supervisor's, its warden asks nat by the bus.
"""

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from services.vm_supervisor.drivers.contract import ExitReason
from services.vm_supervisor.drivers.firecracker.requests import ApiRequest
from shared.errors import BangerError, Code
from shared.host.process import ProcessId, start_time
from shared.paths import deepest_socket
from shared.vm import files
from shared.vmm.search import command_line, find_vmm
from tests.contract.prison import DOWN, IMAGE, NEEDED, UIDS, VM, Prison
from tests.integration.users import ONE, TWO
from tests.waiting import eventually

JAIL_UID = UIDS + 2
"""The first address that guests get is 10.77.0.2."""
DESCRIBE = ApiRequest("GET", "/", {})
UP = "running"

pytestmark = NEEDED

Test = Callable[[Prison], Awaitable[None]]


def contract(test: Test) -> Callable[[Prison], None]:
    """Run the coroutine; pytest sees an ordinary test."""

    def run(prison: Prison) -> None:
        asyncio.run(test(prison))  # type: ignore[arg-type]

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


def status_of(process: ProcessId) -> dict[str, list[str]]:
    """proc_pid_status(5)."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return {name: value.split() for name, _, value in (line.partition(":") for line in lines)}


@contract
async def test_everything_asked_for_a_vm_is_granted_in_the_jail(prison: Prison) -> None:
    prison.driver.prepare(prison.spec)
    async with prison.launched() as machine:
        await machine.attach()
        assert (await prison.ask(DESCRIBE))["state"] == "Running"
        whole = await prison.ask(ApiRequest("GET", "/vm/config", {}))
        assert {drive["path_on_host"] for drive in whole["drives"]} == {
            "disks/rootfs", "disks/overlay", "disks/work", "disks/modules",
        }  # fmt: skip
        assert (prison.sockets / files.AGENT_SOCKET).is_socket()
        assert machine.agent.socket == prison.sockets / files.AGENT_SOCKET


@contract
async def test_it_is_nobody_but_the_jails_uid_and_sees_only_its_own(prison: Prison) -> None:
    async with prison.launched() as machine:
        await machine.attach()
        status = status_of(machine.process)
        assert status["Uid"] == status["Gid"] == [str(JAIL_UID)] * 4
        assert status["Groups"] == []
        assert set(status["CapEff"] + status["CapPrm"]) == {"0" * 16}
        inside = Path(f"/proc/{machine.process.pid}/root")
        assert {path.name for path in inside.iterdir()} <= {
            "boot", "dev", "disks", "firecracker", "firecracker.pid", "logs", "run", "save", "vm",
        }  # fmt: skip
        mounts = Path(f"/proc/{machine.process.pid}/mounts").read_text().splitlines()
        flags = {line.split()[1]: line.split()[3].split(",") for line in mounts}
        for path in ("/boot/vmlinux", "/boot/initrd", "/disks/rootfs", "/disks/modules"):
            assert "ro" in flags[path], path
        for path in ("/disks/overlay", "/disks/work", "/vm"):
            assert {"rw", "nosuid", "nodev", "noexec"} <= set(flags[path]), path
        assert str(prison.jails) not in Path("/proc/mounts").read_text()


@contract
async def test_the_user_reaches_it_and_the_other_user_does_not(prison: Prison) -> None:
    connect = (
        "import socket, sys\n"
        "with socket.socket(socket.AF_UNIX) as s:\n"
        "    s.connect(sys.argv[1]); s.sendall(b'GET / HTTP/1.1\\r\\n\\r\\n'); print(s.recv(99))"
    )
    async with prison.launched() as machine:
        await machine.attach()
        api, disk = str(prison.sockets / files.API_SOCKET), str(prison.state / files.OVERLAY)
        assert b"200" in (await asyncio.to_thread(prison.one.python, connect, api)).stdout
        for user, allowed in ((prison.one, True), (prison.two, False)):
            assert (await asyncio.to_thread(user.python, connect, api)).returncode == (not allowed)
            assert await asyncio.to_thread(user.can, "head", "-c1", disk) == allowed
            pid = str(machine.process.pid)
            assert not await asyncio.to_thread(user.can, "kill", "-0", pid)
        relative = len(
            os.fsencode((prison.sockets / files.AGENT_SOCKET).relative_to(prison.run.parents[1]))
        )
        assert relative <= deepest_socket()


@contract
async def test_pause_resume_and_an_end_by_nat(prison: Prison) -> None:
    async with prison.launched() as machine:
        await machine.attach()
        await machine.pause()
        assert (await prison.ask(DESCRIBE))["state"] == "Paused"
        await machine.resume()
        assert (await prison.ask(DESCRIBE))["state"] == "Running"
        machine.kill(signal.SIGTERM)
        await machine.ended()
        assert start_time(machine.process.pid) is None
        with pytest.raises(BangerError) as caught:
            await machine.pause()
        assert caught.value.code is Code.NOT_RUNNING
        machine.kill()  # nothing happens


@contract
async def test_it_is_found_and_taken_over_when_supervisor_and_nat_have_died(
    prison: Prison,
) -> None:
    async with prison.launched() as first:
        await first.attach()
        prison.become(UP)
        await asyncio.to_thread(prison.restart_nat)
        found = find_vmm(VM)
        assert found
        assert (found.process, found.info.name) == (first.process, "firecracker")
        second = prison.driver.adopt(prison.place, first.process, 0)
        await second.attach()
        await second.pause()
        assert (await prison.ask(DESCRIBE))["state"] == "Paused"
        second.kill(signal.SIGKILL)
        await second.ended()
        await second.close()
    assert start_time(first.process.pid) is None


@contract
async def test_one_that_dies_at_once_leaves_its_last_words(prison: Prison) -> None:
    prison.spec.kernel.joinpath("vmlinux").unlink()
    prison.spec.kernel.joinpath("vmlinux").write_bytes(b"no kernel")
    async with prison.launched() as machine:
        with pytest.raises(BangerError) as caught:
            await machine.attach()
        assert caught.value.code is Code.GUEST_FAILED
        assert "/actions" in caught.value.message or "/boot-source" in caught.value.message


@contract
async def test_what_ends_firecracker_before_it_serves_is_told_with_its_log(prison: Prison) -> None:
    machine = await prison.launch()
    machine.kill()
    await machine.ended()
    assert (await machine.ended()).reason is ExitReason.CRASHED
    await machine.close()


def test_a_vm_that_is_not_up_any_more_leaves_nothing(prison: Prison) -> None:
    asyncio.run(_launch_and_forget(prison))
    assert prison.leftovers()
    prison.become(UP)
    prison.become(DOWN)
    eventually(lambda: not prison.leftovers())


def test_a_jail_goes_with_its_vmm_though_no_event_comes(prison: Prison) -> None:
    asyncio.run(_launch_and_forget(prison))
    prison.call("nat", "nat.unjail", id=VM, signal=signal.SIGKILL)
    eventually(lambda: not prison.leftovers())


def test_a_vm_that_ended_while_nat_was_dead_leaves_nothing(prison: Prison) -> None:
    asyncio.run(_launch_and_forget(prison))
    prison.become(UP)
    prison.one.stack.kill("nat")
    prison.call("store", "vm.remove", id=VM)
    assert prison.leftovers()
    prison.start_nat()
    eventually(lambda: not prison.leftovers())


def test_what_a_nat_that_died_while_it_made_a_jail_has_left_is_swept_away(prison: Prison) -> None:
    """Killed after it had made the place; and with a helper that is still at work."""
    prison.one.stack.kill("nat")
    base = prison.jails / str(ONE)
    (base / "firecracker" / f"banger-{VM}" / "root").mkdir(parents=True)
    words = ("--id", f"banger-{VM}", "--chroot-base-dir", str(base))
    helper = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()", *words])
    try:
        assert prison.leftovers()
        prison.start_nat()
        assert helper.wait(15) == -signal.SIGKILL
        eventually(lambda: not prison.leftovers())
    finally:
        helper.kill()
        helper.wait(10)


async def _launch_and_forget(prison: Prison) -> None:
    machine = await prison.launch()
    await machine.attach()
    await machine.close()


def _planted(prison: Prison, path: Path, how: str, target: Path) -> None:
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
    match how:
        case "link":
            path.symlink_to(target)
        case "fifo":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
    prison.give_to_the_user()


def make_ready_for_nat(prison: Prison) -> None:
    """All that a supervisor makes before it asks for the jail."""
    prison.sockets.mkdir(mode=0o700)
    os.mkfifo(prison.run / files.CONSOLE_INPUT, 0o600)
    for name in ("console.log", "vmm.log"):
        (prison.state / name).touch(mode=0o600)
    prison.give_to_the_user()


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("overlay.ext4", "link"),
        ("overlay.ext4", "fifo"),
        ("overlay.ext4", "directory"),
        ("work.ext4", "link"),
        ("console.log", "link"),
        ("console.log", "fifo"),
        ("vmm.log", "link"),
        ("metrics.json", "link"),
        ("initrd", "link"),
        ("console.in", "link"),
        ("jail", "link"),
    ],
)
def test_what_is_planted_in_a_files_place_is_refused_and_its_target_untouched(
    prison: Prison, tmp_path: Path, name: str, how: str
) -> None:
    make_ready_for_nat(prison)
    target = tmp_path / "roots"
    if name == "jail":
        target.mkdir(mode=0o755)
    else:
        target.write_text("root's")
        target.chmod(0o666)  # even one that the user could write is not the user's to give away
    before = target.stat()
    parent = prison.run if name in ("initrd", "console.in", "jail") else prison.state
    _planted(prison, parent / name, how, target)
    prison.call("nat", "nat.attach", id=VM)
    error = prison.refusal("nat", "nat.jail", id=VM)
    assert error.code is Code.DENIED
    after = target.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode, before.st_uid, before.st_gid,
    )  # fmt: skip
    assert name == "jail" or target.read_text() == "root's"
    assert not prison.leftovers()


def test_a_file_of_somebody_else_is_refused(prison: Prison) -> None:
    make_ready_for_nat(prison)
    overlay = prison.state / files.OVERLAY
    os.chown(overlay, TWO, TWO)
    overlay.chmod(0o666)
    prison.call("nat", "nat.attach", id=VM)
    assert "overlay.ext4" in prison.refusal("nat", "nat.jail", id=VM).message
    assert (overlay.stat().st_gid, stat.S_IMODE(overlay.stat().st_mode)) == (TWO, 0o666)


def test_a_link_on_the_way_leads_only_where_the_user_may_go(prison: Prison, tmp_path: Path) -> None:
    """A file that everybody may read, in a directory that is closed to the user."""
    make_ready_for_nat(prison)
    closed, image = tmp_path / "closed", prison.one.paths.images / IMAGE
    closed.mkdir(mode=0o700)
    (closed / "rootfs.squashfs").write_text("root's")
    shutil.rmtree(image)
    image.symlink_to(closed)
    prison.call("nat", "nat.attach", id=VM)
    error = prison.refusal("nat", "nat.jail", id=VM)
    assert (error.code, "rootfs.squashfs" in error.message) == (Code.DENIED, True)
    image.unlink()
    image.mkdir()
    (image / "rootfs.squashfs").hardlink_to(prison.spec.drives.modules)
    assert prison.call("nat", "nat.jail", id=VM)["pid"]
    prison.call("nat", "nat.unjail", id=VM, signal=9)


def test_ids_and_signals_that_are_none_are_refused(prison: Prison) -> None:
    hostile = ("", "../../../etc", "0123456789AB", f"{VM}/", "x" * 5000, f"{VM}\n")
    for vm_id in hostile:
        for verb, body in (("nat.jail", {}), ("nat.unjail", {"signal": 9})):
            error = prison.refusal("nat", verb, id=vm_id, **body)
            assert error.code in (Code.NOT_FOUND, Code.INVALID), vm_id
    assert prison.refusal("nat", "nat.unjail", id=VM, signal=9).code is Code.NOT_RUNNING
    assert prison.refusal("nat", "nat.unjail", id=VM, signal=99).code is Code.INVALID


def test_a_vm_that_was_not_attached_is_not_jailed(prison: Prison) -> None:
    make_ready_for_nat(prison)
    prison.restart_nat()  # it forgets who was attached in the tests before
    assert prison.refusal("nat", "nat.jail", id=VM).code is Code.CONFLICT


def test_unjail_reaches_no_process_of_roots_own(prison: Prison) -> None:
    """One that is called as a VM of the user is: root may run Firecracker too."""
    sleep = [sys.executable, "-c", "import signal; signal.pause()", "--id", f"banger-{VM}"]
    process = subprocess.Popen(sleep)
    try:
        eventually(lambda: f"banger-{VM}" in command_line(process.pid))
        error = prison.refusal("nat", "nat.unjail", id=VM, signal=9)
        assert error.code is Code.NOT_RUNNING
        assert process.poll() is None
    finally:
        process.kill()
        process.wait(10)


def test_a_second_jail_of_a_vm_is_refused_and_the_first_goes_on(prison: Prison) -> None:
    async def scenario() -> None:
        async with prison.launched() as machine:
            await machine.attach()
            error = await asyncio.to_thread(prison.refusal, "nat", "nat.jail", id=VM)
            assert error.code is Code.CONFLICT
            assert (await prison.ask(DESCRIBE))["state"] == "Running"

    asyncio.run(scenario())


def test_a_jailer_that_fails_is_told_with_its_last_words(prison: Prison, tmp_path: Path) -> None:
    broken = tmp_path / "jailer"
    broken.write_text("#!/bin/sh\necho first >&2\necho no jail today >&2\nexit 1\n")
    broken.chmod(0o755)

    async def scenario() -> None:
        machine = await prison.launch()
        await machine.attach()

    with (
        prison.other_jailer(str(broken)),
        pytest.raises(BangerError, match="no jail today") as caught,
    ):
        asyncio.run(scenario())
    assert caught.value.code is Code.GUEST_FAILED


def test_without_the_jailer_it_is_named(prison: Prison) -> None:
    with prison.other_jailer("no-jailer-here"):
        prison.call("nat", "nat.attach", id=VM)
        error = prison.refusal("nat", "nat.jail", id=VM)
    assert error.code is Code.MISSING_TOOL
    assert "no-jailer-here" in error.message
