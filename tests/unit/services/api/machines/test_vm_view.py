"""A row is believed only as far as the process table bears it out."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from services.api.machines import vm_view
from services.api.machines.vm_view import view, vmm_of, with_live_state
from shared.contract.messages.vm import State, Vm
from shared.contract.ssh_access import Access
from shared.host.boot_id import host_boot_id
from shared.host.process import ProcessId, start_time
from shared.paths import Paths
from shared.vm.asleep import forget_asleep
from shared.vm.handle import Handle, write_handle
from tests.example import example_vm
from tests.unit.shared.vm.test_asleep import ASLEEP, fall_asleep

ACCESS = Access(host="127.77.0.2", port=22, key="k", known_hosts="h", alias="a", control="c")
LIVE_STATES: list[State] = ["starting", "running", "paused", "stopping"]


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(*(tmp_path / name for name in ("config", "data", "state", "run")))


def row(state: State, reason: str = "") -> Vm:
    beta = example_vm()
    beta.state, beta.reason = state, reason
    return beta


def give_vmm(paths: Paths, *, ready: bool = True, born: int = 0) -> None:
    """A handle that names this very process as the VMM; ``born`` shifts its start time."""
    started = start_time(os.getpid())
    assert started is not None
    run = paths.vm_run(example_vm().id)
    run.mkdir(parents=True)
    handle = Handle(
        vm_id=example_vm().id,
        host_boot=host_boot_id(),
        pid=os.getpid(),
        start_time=started + born,
        vmm="qemu",
        accel="tcg",
        access=ACCESS,
        guest_boot="boot-1",
        ready=ready,
    )
    write_handle(run, handle)


@pytest.mark.parametrize("state", LIVE_STATES)
def test_row_whose_vmm_lives_is_the_truth(paths: Paths, state: State) -> None:
    give_vmm(paths)
    assert with_live_state(row(state), paths, supervised=False) == row(state)


@pytest.mark.parametrize("state", LIVE_STATES)
def test_row_without_a_vmm_is_stopped_and_says_why(paths: Paths, state: State) -> None:
    shown = with_live_state(row(state), paths, supervised=False)
    assert (shown.state, shown.reason) == ("stopped", "its VMM is gone")


def test_reused_pid_does_not_make_a_vm_run(paths: Paths) -> None:
    give_vmm(paths, born=1)
    assert with_live_state(row("running"), paths, supervised=True).state == "stopped"


def test_starting_vm_may_have_no_vmm_yet_while_it_has_a_supervisor(paths: Paths) -> None:
    assert with_live_state(row("starting"), paths, supervised=True).state == "starting"


def test_known_reason_is_not_overwritten(paths: Paths) -> None:
    assert (
        with_live_state(row("running", "kernel panic"), paths, supervised=False).reason
        == "kernel panic"
    )


@pytest.mark.parametrize("state", ["created", "stopped", "failed"])
def test_vm_that_does_not_run_is_left_as_it_is(paths: Paths, state: State) -> None:
    assert with_live_state(row(state), paths, supervised=False) == row(state)


def test_view_of_a_running_vm_has_what_the_handle_knows(paths: Paths) -> None:
    give_vmm(paths)
    shown = view(row("running"), paths, supervised=True)
    assert (shown.pid, shown.accel, shown.boot_id) == (os.getpid(), "tcg", "boot-1")
    assert shown.access == ACCESS
    assert shown.console_log.endswith("/vms/0123456789ab/console.log")


def test_view_gives_no_access_before_the_guest_has_answered(paths: Paths) -> None:
    give_vmm(paths, ready=False)
    shown = view(row("starting"), paths, supervised=True)
    assert shown.pid == os.getpid()
    assert shown.access is None


def test_view_of_a_stopped_vm_ignores_a_handle(paths: Paths) -> None:
    give_vmm(paths)
    assert view(row("stopped"), paths, supervised=False).pid is None


def test_view_of_a_vm_whose_vmm_is_gone_says_so(paths: Paths) -> None:
    shown = view(row("running"), paths, supervised=False)
    assert (shown.vm.state, shown.vm.reason, shown.pid) == ("stopped", "its VMM is gone", None)


def test_a_lost_handle_is_no_sign_of_an_end(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is a lost run directory, which goes with a user's session."""
    found = SimpleNamespace(process=ProcessId(7, 8))
    monkeypatch.setattr(vm_view, "find_vmm", lambda _: found)
    assert vmm_of("lost", paths) == found.process
    assert with_live_state(row("running"), paths, supervised=False).state == "running"


@pytest.mark.parametrize("state", ["running", "suspended"])
def test_files_say_whether_a_vm_without_a_vmm_is_asleep(paths: Paths, state: State) -> None:
    """A supervisor may have died before it had stored it, either way."""
    vm_state = paths.vm_state(example_vm().id)
    fall_asleep(vm_state)
    shown = with_live_state(row(state), paths, supervised=False)
    assert (shown.state, shown.wakes, shown.reason) == ("suspended", True, ASLEEP.reason)
    forget_asleep(vm_state)
    claims = replace(row(state), wakes=True)
    assert not with_live_state(claims, paths, supervised=False).wakes


def test_why_a_vm_could_not_wake_stays_in_its_row(paths: Paths) -> None:
    fall_asleep(paths.vm_state(example_vm().id))
    forget_asleep(paths.vm_state(example_vm().id))
    failed = row("suspended", "it could not wake: no memory")
    assert with_live_state(failed, paths, supervised=False) == failed


def test_a_vm_is_asleep_when_its_supervisor_has_said_so(paths: Paths) -> None:
    """A client that reads it may connect at once, and the supervisor has to hold the ports."""
    give_vmm(paths, born=1)  # its VMM has ended
    fall_asleep(paths.vm_state(example_vm().id))
    assert view(row("running"), paths, supervised=True).vm.state == "running"
    assert view(row("running"), paths, supervised=False).vm.state == "suspended"
    said = replace(row("suspended"), wakes=True)
    assert view(said, paths, supervised=True).vm == said
