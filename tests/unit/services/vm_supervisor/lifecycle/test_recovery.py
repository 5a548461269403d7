"""What a new supervisor makes of the handle that it finds, with a scripted launcher."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from services.vm_supervisor.drivers.contract import Machine
from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.launch.launcher import VmmLauncher
from services.vm_supervisor.lifecycle import recovery as under_test
from services.vm_supervisor.lifecycle.recovery import (
    reach_again,
    rediscover,
    restore_uplink,
    take_over,
)
from services.vm_supervisor.running_vm import RunningVm
from shared.contract.messages.vm import Publication, State, Vm
from shared.errors import BangerError, Code
from shared.logs import Log
from shared.paths import Paths
from shared.vm import files
from shared.vm.handle import Handle, handle_path, read_handle, write_handle
from shared.vmm.qemu.info import Qemu
from tests.example import example_vm
from tests.unit.services.vm_supervisor.guest.scripted_agent import answering
from tests.unit.services.vm_supervisor.scripted_guest import (
    BOOT_ID,
    ScriptedGuest,
    running_vm,
    ssh_that,
)
from tests.unit.services.vm_supervisor.serving import serving
from tests.unit.shared.vm.test_handle import own_handle

SECONDS = 10.0
VM = example_vm(state="running")


def paths_below(root: Path, vm: Vm = VM) -> Paths:
    paths = Paths(**{name: root / name for name in ("config", "data", "state", "run")})
    paths.vm_run(vm.id).mkdir(parents=True)
    paths.vm_state(vm.id).mkdir(parents=True)
    return paths


@dataclass
class ScriptedLauncher:
    """Adopts the VMM of any handle, or raises ``trouble``."""

    paths: Paths
    trouble: BangerError | None = None
    adopted: list[Handle] = field(default_factory=list)

    async def adopt(self, handle: Handle) -> RunningVm:
        self.adopted.append(handle)
        if self.trouble:
            raise self.trouble
        return RunningVm(cast(Machine, None), handle, Qemu())


def taken_over(launcher: ScriptedLauncher, vm: Vm = VM) -> RunningVm | None:
    async def scenario() -> RunningVm | None:
        async with asyncio.timeout(SECONDS):
            return await take_over(cast(VmmLauncher, launcher), vm)

    return asyncio.run(scenario())


def test_vmm_of_a_good_handle_is_taken_over(tmp_path: Path) -> None:
    launcher = ScriptedLauncher(paths_below(tmp_path))
    write_handle(launcher.paths.vm_run(VM.id), own_handle())
    running = taken_over(launcher)
    assert running
    assert running.handle == own_handle()
    assert read_handle(launcher.paths.vm_run(VM.id)) == own_handle()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff" * 40])
def test_damaged_handle_is_read_from_its_copy(tmp_path: Path, content: bytes) -> None:
    launcher = ScriptedLauncher(paths_below(tmp_path))
    run = launcher.paths.vm_run(VM.id)
    write_handle(run, own_handle())
    handle_path(run).write_bytes(content)
    running = taken_over(launcher)
    assert running
    assert running.handle == own_handle()


def test_handle_of_a_process_that_is_gone_is_removed(tmp_path: Path) -> None:
    launcher = ScriptedLauncher(paths_below(tmp_path))
    run = launcher.paths.vm_run(VM.id)
    handle = own_handle()
    handle.start_time += 1
    write_handle(run, handle)
    assert taken_over(launcher) is None
    assert launcher.adopted == []
    assert list(run.iterdir()) == []


def test_vmm_that_ends_as_it_is_taken_over_leaves_no_handle(tmp_path: Path) -> None:
    gone = BangerError(Code.NOT_RUNNING, "process 7 is gone")
    launcher = ScriptedLauncher(paths_below(tmp_path), gone)
    run = launcher.paths.vm_run(VM.id)
    write_handle(run, own_handle())
    assert taken_over(launcher) is None
    assert list(run.iterdir()) == []


def test_vmm_that_cannot_be_taken_over_keeps_its_handle(tmp_path: Path) -> None:
    """It runs: the next supervisor must find it."""
    launcher = ScriptedLauncher(paths_below(tmp_path), BangerError(Code.TIMEOUT, "no QMP"))
    run = launcher.paths.vm_run(VM.id)
    write_handle(run, own_handle())
    with pytest.raises(BangerError, match="no QMP"):
        taken_over(launcher)
    assert read_handle(run) == own_handle()


def test_without_handle_and_vmm_there_is_nothing_to_take_over(tmp_path: Path) -> None:
    vm = example_vm(id=os.urandom(6).hex())
    launcher = ScriptedLauncher(paths_below(tmp_path, vm))
    assert taken_over(launcher, vm) is None
    assert launcher.adopted == []


@contextmanager
def vmm_of(vm: Vm) -> Iterator[int]:
    """The pid of a process with the command line of the VM's QEMU."""
    script = "import sys; print(flush=True); sys.stdin.read()"
    forward = f"user,id=net0,hostfwd=tcp:{vm.address}:2222-:22"
    words = ["-name", f"banger-{vm.id}", "-accel", "kvm", "-netdev", forward]
    argv = [sys.executable, "-c", script, *words]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        yield process.pid


PUBLISHED = [Publication(host_address="127.0.0.1", host_port=8080, guest_port=80)]


def test_vmm_whose_handle_and_copy_are_damaged_is_found_by_its_command_line(
    tmp_path: Path,
) -> None:
    vm = example_vm(id=os.urandom(6).hex(), state="running", publish=PUBLISHED)
    launcher = ScriptedLauncher(paths_below(tmp_path, vm))
    run = launcher.paths.vm_run(vm.id)
    for name in (files.HANDLE, files.HANDLE_COPY):
        (run / name).write_bytes(b"{")
    (launcher.paths.vm_state(vm.id) / files.CONSOLE_LOG).write_bytes(b"Kernel panic of old\n")
    with vmm_of(vm) as pid:
        running = taken_over(launcher, vm)
        assert running
        handle = running.handle
        assert handle.alive
    assert (handle.vm_id, handle.pid, handle.vmm, handle.accel) == (vm.id, pid, "qemu", "kvm")
    assert (handle.access.host, handle.access.port) == (vm.address, 2222)
    assert handle.access.control == str(run / files.SSH_SOCKET)
    assert handle.publish == PUBLISHED
    assert handle.console_start == len("Kernel panic of old\n")


@pytest.mark.parametrize(
    ("state", "ready"),
    [("running", True), ("paused", True), ("starting", False), ("stopping", False)],
)
def test_guest_found_again_was_ready_if_the_row_says_so(
    tmp_path: Path, state: State, ready: bool
) -> None:
    vm = example_vm(id=os.urandom(6).hex(), state=state)
    with vmm_of(vm):
        handle = rediscover(vm, paths_below(tmp_path, vm))
    assert handle
    assert handle.ready is ready
    assert handle.console_start == 0


class ScriptedNetwork:
    """Opens no way out: it raises ``trouble``, or never answers."""

    def __init__(self, trouble: BangerError | None) -> None:
        self._trouble = trouble

    async def set_uplink(self, *, on: bool, literal: Sequence[str] = ()) -> None:
        if self._trouble:
            raise self._trouble
        await asyncio.Event().wait()


@pytest.mark.parametrize("trouble", [BangerError(Code.INTERNAL, "QEMU refused it"), None])
def test_way_out_that_cannot_be_set_is_logged_and_in_the_way_of_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: BangerError | None
) -> None:
    monkeypatch.setattr(under_test, "UPLINK_SECONDS", 0.01)
    machine = SimpleNamespace(user_network=ScriptedNetwork(trouble))
    running = RunningVm(cast(Machine, machine), own_handle(), Qemu())

    async def scenario() -> None:
        async with asyncio.timeout(SECONDS):
            await restore_uplink(running, VM, Log(tmp_path / "log", "test"))

    asyncio.run(scenario())
    assert "way out may not be what it should" in (tmp_path / "log").read_text()


def test_guest_is_tried_again_until_sshd_answers_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent that was reached is kept: a second client would wait for the first for ever."""
    monkeypatch.setattr(under_test, "RETRY_SECONDS", 0.0)
    tried = ssh_that(tmp_path, monkeypatch, ["Permission denied", "Permission denied", ""])
    guest = ScriptedGuest({BOOT_ID: b"a-boot-id\n"})
    log = Log(tmp_path / "log", "test")

    async def scenario() -> tuple[RunningVm, int]:
        reached: list[Agent] = []
        async with asyncio.timeout(SECONDS), serving(tmp_path / "agent", answering(guest)):
            running = running_vm(tmp_path)
            await reach_again(running, tmp_path, SECONDS, log, reached.append)
            for agent in reached:
                await agent.ping(time.monotonic() + SECONDS)
                agent.close()
        return running, len(reached)

    running, times = asyncio.run(scenario())
    assert times == 1
    assert running.handle.guest_boot == "a-boot-id"
    assert tried() == 3
    assert (tmp_path / "log").read_text().count("does not answer yet") == 2


def test_agent_that_does_not_answer_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "RETRY_SECONDS", 0.0)
    ssh_that(tmp_path, monkeypatch, [""])
    guest = ScriptedGuest({BOOT_ID: b"a-boot-id\n"}, refuses_opens=2)
    log = Log(tmp_path / "log", "test")

    async def scenario() -> int:
        reached: list[Agent] = []
        async with asyncio.timeout(SECONDS), serving(tmp_path / "agent", answering(guest)):
            await reach_again(running_vm(tmp_path), tmp_path, SECONDS, log, reached.append)
            for agent in reached:
                agent.close()
        return len(reached)

    assert asyncio.run(scenario()) == 1
    assert (tmp_path / "log").read_text().count("does not answer yet") == 2
