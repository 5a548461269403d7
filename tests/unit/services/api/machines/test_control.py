"""A VMM without a supervisor, and supervisors that are away, late, or do not answer."""

import os
import signal

import pytest

from services.api.machines import control
from shared.bus.handlers import Call, handles
from shared.contract.messages.network import NatUnjail
from shared.contract.verbs import nat
from shared.errors import BangerError, Code
from shared.paths import Paths
from shared.vmm.search import find_vmm
from tests.example import example_vm
from tests.fakes.bus import FakeCall
from tests.fakes.scene import Scene, play
from tests.fakes.supervisor import FakeSupervisor
from tests.unit.services.api.conftest import program

VM = example_vm(id=os.urandom(6).hex(), state="failed")  # real processes bear it
VMM = "print('up', flush=True); import sys; sys.stdin.read()"


@pytest.fixture(autouse=True)
def no_successor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a supervisor that will not come."""
    monkeypatch.setattr(control, "SUCCESSOR_SECONDS", 0.0)


class Jail:
    """A nat that ends the VMM, as that of a jail does."""

    def __init__(self, vmm: int) -> None:
        self._vmm = vmm

    @handles(nat.UNJAIL)
    async def unjail(self, request: NatUnjail, _call: Call) -> None:
        os.kill(self._vmm, request.signal)


def end(paths: Paths, vmm: int, number: signal.Signals) -> list[str]:
    asked: list[str] = []

    async def act() -> None:
        async with Scene(paths, VM) as scene:
            scene.bus.serve("nat", Jail(vmm))
            paths.vm_run(VM.id).mkdir(parents=True)
            told = await scene.context.machines.end(VM, number)
            assert told.state == scene.row().state == "stopped"
            asked.extend(scene.bus.verbs())

    play(act())
    return asked


def test_vmm_without_handle_or_supervisor_is_found_and_ended(paths: Paths) -> None:
    with program(VMM, "-name", f"banger-{VM.id}") as vmm:
        assert end(paths, vmm.pid, signal.SIGKILL) == ["store vm.update"]
        assert find_vmm(VM.id) is None


@pytest.fixture
def of_another_uid(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel refuses our signals, as it does an ordinary user's to a jailed VMM."""

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(signal, "pidfd_send_signal", refuse)


@pytest.mark.usefixtures("of_another_uid")
def test_jailed_vmm_is_signalled_by_nat(paths: Paths) -> None:
    with program(VMM, "-name", f"banger-{VM.id}") as vmm:
        asked = end(paths, vmm.pid, signal.SIGKILL)
    assert asked == ["nat nat.unjail", "store vm.update"]


def test_a_supervisor_that_does_not_answer_is_killed_with_its_vmm(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            vm = await scene.running()
            scene.bus.troubles["vm machine.kill"].append(BangerError(Code.TIMEOUT, "late"))
            told = await scene.context.machines.end(vm)
            assert told.state == "stopped"
            assert scene.row().state == "stopped"
            assert not scene.context.supervisors.knows(vm.id)

    play(act())


def test_a_boot_goes_on_at_a_successor_which_stores_that_it_starts(paths: Paths) -> None:
    """The row may say ``stopped`` by then."""

    async def act() -> None:
        async with Scene(paths) as scene:

            def first_ends(given: FakeSupervisor) -> None:
                if not scene.spare.given:
                    given.failure = BangerError(Code.UNAVAILABLE, "this one is ending")

            scene.spare.setup = first_ends
            await scene.running()
            assert [each.spec.vm.state for each in scene.spare.given] == ["starting", "stopped"]
            assert scene.row().state == "running"

    play(act())


def test_a_boot_is_joined_at_the_next_broker(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            lost = BangerError(Code.UNAVAILABLE, "the connection to the broker was lost")
            scene.bus.troubles["vm machine.start"].append(lost)
            await scene.running()
            assert len(scene.spare.given) == 1

    play(act())


@pytest.mark.parametrize("verb", ["stop", "apply"])
def test_what_does_not_run_is_nobodys_to_ask(paths: Paths, verb: str) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm()) as scene:
            machines = scene.context.machines
            if verb == "apply":
                assert not await machines.apply(example_vm(), FakeCall())
                await machines.apply_until_over(example_vm(), FakeCall())
                assert scene.bus.verbs() == []
            else:
                assert (await machines.stop(example_vm(), 1.0, FakeCall())).state == "stopped"
                assert scene.bus.verbs() == ["store vm.get"]

    play(act())


def test_the_end_of_a_vm_that_ended_by_itself_is_what_its_row_says(paths: Paths) -> None:
    async def act() -> None:
        failed = example_vm(state="failed", reason="it panicked")
        async with Scene(paths, failed) as scene:
            row = example_vm(state="running")
            told = await scene.context.machines.stop(row, 1.0, FakeCall())
            assert (told.state, told.reason) == ("failed", "it panicked")

    play(act())


def test_a_vm_that_is_expected_to_boot_counts_as_supervised(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm(id=VM.id, state="starting")) as scene:
            with scene.context.machines.expected(VM.id):
                assert (await scene.context.find("beta")).state == "starting"
            assert (await scene.context.find("beta")).state == "stopped"

    play(act())
