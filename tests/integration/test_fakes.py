"""What the api relies on of other services, held against them and against the fakes of its tests.

The real supervisor runs a scripted guest. The store's contract is in tests/unit/fakes.
"""

import asyncio
import contextlib
import os
import shutil
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from services.images.service import ImagesService
from services.nat.deployment.identity import own_identity
from services.nat.service import Nat
from services.vm_supervisor.service import Supervisor
from shared.config import Config
from shared.contract.messages.machine import SupervisorSpec
from shared.contract.messages.vm import State, Vm
from shared.contract.verb import Request, Verb
from shared.contract.verbs import images, nat, supervisor
from shared.errors import BangerError, Code
from shared.logs import Log
from shared.paths import Paths, make_private
from shared.vm import files
from tests import loopback
from tests.example import example_vm
from tests.fakes.bus import FakeBus
from tests.fakes.images import FakeImages
from tests.fakes.nat import FakeNat
from tests.fakes.store import FakeStore
from tests.fakes.supervisor import FakeSpare
from tests.home import new_home
from tests.scripted import shelf
from tests.scripted.script import VARIABLE

BOTH = pytest.mark.parametrize("kind", ["fake", "real"])


@pytest.fixture
def paths(monkeypatch: pytest.MonkeyPatch) -> Iterator[Paths]:
    """Directories with the default image and kernel, and scripted programs in the PATH."""
    with new_home() as home:
        qemu = shelf.install(home.root / "bin")
        for name, value in shelf.environment(home.root / "bin").items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv(VARIABLE, str(home.root / "scripts"))
        monkeypatch.setenv("TEST_QEMU", str(qemu))
        shelf.stock(home.paths)
        make_private(home.paths.run)
        yield home.paths


async def refusal(bus: FakeBus, request: Request[Any]) -> Code:
    with pytest.raises(BangerError) as refused:
        await bus.ask(request)
    return refused.value.code


# -- the supervisor -------------------------------------------------------------------------


class Supervised:
    """One supervisor and the store that it reports to."""

    def __init__(self, kind: str, paths: Paths, state: State) -> None:
        self.vm = example_vm(
            id=os.urandom(6).hex(),
            state=state,
            address=loopback.address(30),
            memory_mib=128,
            disk_bytes=64 << 20,
            overlay_bytes=64 << 20,
            vmm="qemu",
        )
        self.store = FakeStore(self.vm)
        self.bus = FakeBus()
        self.bus.serve("store", self.store)
        self._kind = kind
        self._paths = paths
        self._end: Callable[[], Coroutine[Any, Any, None]]

    async def __aenter__(self) -> "Supervised":
        make_private(self._paths.vm_run(self.vm.id))
        tops = (self._paths.images, self._paths.kernels)
        image, kernel = ((top / "by-name" / shelf.NAME).resolve() for top in tops)
        spec = SupervisorSpec(vm=self.vm, image=str(image), kernel=str(kernel), ran_before=False)
        await (self._begin_fake(spec) if self._kind == "fake" else self._begin_real(spec))
        return self

    async def _begin_fake(self, spec: SupervisorSpec) -> None:
        spare = FakeSpare(self.bus, self._paths, self._paths.run / "errors")
        watch = spare.assign(msgspec.msgpack.encode(spec))

        async def end() -> None:
            spare.close()
            await watch.ended()
            watch.close()

        self._end = end

    async def _begin_real(self, spec: SupervisorSpec) -> None:
        config = Config(qemu_bin=os.environ["TEST_QEMU"], accel="tcg")
        log = Log(self._paths.vm_state(self.vm.id) / files.SUPERVISOR_LOG, "vm")
        real = Supervisor(self._paths, log, config, spec)
        real.ask = self.bus.ask  # type: ignore[method-assign]
        await real.on_start()
        self.bus.serve(f"vm:{self.vm.id}", real)

        async def end() -> None:
            await real.on_stop()
            real.background.cancel()
            real.link.close()

        self._end = end

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(BangerError):  # it may have ended
            await self.ask(supervisor.KILL(signal=9))
        await self._end()
        shutil.rmtree(self._paths.vm_run(self.vm.id))  # as the api does

    async def ask(self, request: Request[Any]) -> Any:
        return await self.bus.ask(request.at(self.vm.id))

    def stored(self) -> list[State]:
        """The states that the supervisor has stored."""
        return [body.state for verb, body in self.bus.asked if verb == "store vm.update"]

    def row(self) -> Vm:
        return self.store.vms[self.vm.id]


def supervised(
    kind: str, paths: Paths, state: State, act: Callable[[Supervised], Coroutine[Any, Any, None]]
) -> None:
    async def play() -> None:
        async with asyncio.timeout(30), Supervised(kind, paths, state) as made:
            await act(made)

    asyncio.run(play())


@BOTH
@pytest.mark.parametrize(
    ("state", "stored"),
    [("created", ["starting", "running"]), ("starting", ["running"])],
)
def test_a_boot_is_stored_and_said_so_where_the_row_does_not_say_it_yet(
    kind: str, paths: Paths, state: State, stored: list[State]
) -> None:
    async def act(vm: Supervised) -> None:
        assert (await vm.ask(supervisor.START())).state == "running"
        assert (await vm.ask(supervisor.STATE())).state == "running"
        assert vm.stored() == stored
        assert (await vm.ask(supervisor.START())).state == "running"
        assert vm.stored() == stored

    supervised(kind, paths, state, act)


@BOTH
@pytest.mark.parametrize(
    ("marked", "stored"), [(False, ["stopping", "stopped"]), (True, ["stopped"])]
)
def test_a_stop_ends_the_vm_and_is_stored(
    kind: str, paths: Paths, marked: bool, stored: list[State]
) -> None:
    async def act(vm: Supervised) -> None:
        await vm.ask(supervisor.START())
        vm.bus.asked.clear()
        told = await vm.ask(supervisor.STOP(timeout=20.0, stored=marked))
        assert (told.state, told.reason) == ("stopped", "")
        assert vm.stored() == stored
        assert vm.row().state == "stopped"
        assert await refusal(vm.bus, supervisor.START().at(vm.vm.id)) is Code.UNAVAILABLE

    supervised(kind, paths, "starting", act)


@BOTH
@pytest.mark.parametrize(("forget", "stored"), [(False, ["stopped"]), (True, [])])
def test_a_kill_ends_the_vm_and_is_stored_unless_it_is_deleted(
    kind: str, paths: Paths, forget: bool, stored: list[State]
) -> None:
    async def act(vm: Supervised) -> None:
        await vm.ask(supervisor.START())
        vm.bus.asked.clear()
        told = await vm.ask(supervisor.KILL(signal=9, forget=forget))
        assert told.state == "stopped"
        assert vm.stored() == stored

    supervised(kind, paths, "starting", act)


@BOTH
def test_a_vm_is_paused_and_resumed(kind: str, paths: Paths) -> None:
    async def act(vm: Supervised) -> None:
        await vm.ask(supervisor.START())
        for verb, state in ((supervisor.PAUSE, "paused"), (supervisor.RESUME, "running")):
            for _ in range(2):
                assert (await vm.ask(verb())).state == state
            assert vm.row().state == state

    supervised(kind, paths, "starting", act)


@BOTH
def test_a_changed_row_is_applied_to_a_vm_that_runs(kind: str, paths: Paths) -> None:
    async def act(vm: Supervised) -> None:
        change = supervisor.APPLY(vm=replace(vm.vm, nat=True)).at(vm.vm.id)
        assert await refusal(vm.bus, change) is Code.NOT_RUNNING
        await vm.ask(supervisor.START())
        await vm.bus.ask(change)

    supervised(kind, paths, "created", act)


@BOTH
def test_a_row_that_is_gone_stops_nobody(kind: str, paths: Paths) -> None:
    async def act(vm: Supervised) -> None:
        await vm.ask(supervisor.START())
        del vm.store.vms[vm.vm.id]
        assert (await vm.ask(supervisor.STOP(timeout=20.0))).state == "stopped"

    supervised(kind, paths, "starting", act)


# -- images and nat -------------------------------------------------------------------------


@BOTH
def test_images_and_kernels_are_resolved_shown_and_removed(kind: str, paths: Paths) -> None:
    async def act() -> None:
        bus = FakeBus()
        real = ImagesService(paths, Log(paths.log_file("images"), "images"), Config())
        bus.serve("images", FakeImages() if kind == "fake" else real)
        kinds: list[tuple[Verb[..., Any, Any], Verb[..., Any, Any], Verb[..., Any, None]]] = [
            (images.IMAGE_RESOLVE, images.IMAGE_SHOW, images.IMAGE_REMOVE),
            (images.KERNEL_RESOLVE, images.KERNEL_SHOW, images.KERNEL_REMOVE),
        ]
        for resolve, show, remove in kinds:
            entry = await bus.ask(resolve(ref=shelf.NAME))
            assert entry.name == shelf.NAME
            shown = await bus.ask(show(ref="debian"))
            assert (shown.id, shown.name, shown.path) == (entry.id, entry.name, entry.path)
            for ref, code in (("", Code.INVALID), ("none", Code.NOT_FOUND)):
                assert await refusal(bus, show(ref=ref)) is code
                assert await refusal(bus, resolve(ref=ref)) is code
            await bus.ask(remove(ref=entry.id))
            assert await refusal(bus, show(ref=entry.id)) is Code.NOT_FOUND
        real.link.close()

    asyncio.run(asyncio.wait_for(act(), 20))


@BOTH
def test_nat_without_a_bridge_refuses_what_needs_one(kind: str, paths: Paths) -> None:
    async def act() -> None:
        bus, config = FakeBus(), Config(network="user")
        log = Log(paths.log_file("nat"), "nat")
        real = Nat(paths, log, config, own_identity(paths, config))
        bus.serve("nat", FakeNat(bridge=False) if kind == "fake" else real)
        for request in (nat.APPLY(), nat.UNJAIL(id="0" * 12, signal=9)):
            assert await refusal(bus, request) is Code.UNAVAILABLE
        real.link.close()

    asyncio.run(asyncio.wait_for(act(), 20))
