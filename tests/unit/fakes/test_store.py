"""What the verbs of the store promise, held against the real store and the fake one."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from services.store.service import StoreService
from shared.config import Config
from shared.contract.messages.vm import Publication, Vm
from shared.contract.messages.workspace import Workspace
from shared.contract.reference import by_id
from shared.contract.verb import Request
from shared.contract.verbs import store
from shared.errors import BangerError, Code
from shared.logs import Log
from shared.paths import Paths
from tests.fakes.bus import FakeBus
from tests.fakes.store import FakeStore
from tests.unit.services.store.requests import reservation

Act = Callable[[FakeBus], Coroutine[Any, Any, None]]
Play = Callable[[Act], None]


@pytest.fixture(params=["fake", "real"])
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Play:
    """Run an act against a new store."""

    async def with_fake(act: Act) -> None:
        bus = FakeBus()
        bus.serve("store", FakeStore())
        await act(bus)

    async def with_real(act: Act) -> None:
        paths = Paths(*(tmp_path / name for name in ("config", "data", "state", "run")))
        paths.run.mkdir(mode=0o700)
        service = StoreService(paths, Log(tmp_path / "log", "store"), Config())
        await service.on_start()
        bus = FakeBus()
        bus.serve("store", service)
        try:
            await act(bus)
        finally:
            await service.on_stop()
            service.link.close()

    way = with_fake if request.param == "fake" else with_real
    return lambda act: asyncio.run(asyncio.wait_for(way(act), 20))


async def reserve(bus: FakeBus, name: str, **changes: Any) -> Vm:
    return await bus.ask(store.VM_RESERVE.of(reservation(name, **changes)))


async def refusal(bus: FakeBus, request: Request[Any]) -> Code:
    with pytest.raises(BangerError) as refused:
        await bus.ask(request)
    return refused.value.code


def port(number: int) -> Publication:
    return Publication(host_port=number, guest_port=80)


def test_a_reserved_vm_is_found_by_any_reference(play: Play) -> None:
    async def act(bus: FakeBus) -> None:
        vm = await reserve(bus, "beta", vcpu=3, nat=True, publish=[port(8080)])
        assert (vm.name, vm.state, vm.address, vm.vcpu) == ("beta", "created", "127.77.0.2", 3)
        for ref in ("beta", "id-beta", "bet"):
            assert await bus.ask(store.VM_GET(ref=ref)) == vm
        rows = await bus.ask(store.VM_LIST())
        assert (rows.vms, rows.seq) == ([vm], 1)
        assert await bus.ask(store.VM_SNAPSHOT()) == rows

    play(act)


def test_references_that_mean_no_vm_say_why(play: Play) -> None:
    async def act(bus: FakeBus) -> None:
        for name in ("beta", "bert"):
            await reserve(bus, name)
        for ref, code in (
            ("", Code.INVALID),
            ("delta", Code.NOT_FOUND),
            ("be", Code.AMBIGUOUS),
        ):
            assert await refusal(bus, store.VM_GET(ref=ref)) is code
        told = await bus.ask(store.VM_RESOLVE(refs=["bert", "no", "ber", "beta", "no"]))
        assert [(each.ref, each.name) for each in told.resolved] == [
            ("bert", "bert"),
            ("no", ""),
            ("beta", "beta"),
        ]
        assert told.resolved[1].error
        assert told.resolved[1].error["code"] == "not_found"
        told = await bus.ask(store.VM_RESOLVE(refs=["bert", "be", "bet"], whole_names=True))
        errors = [each.error and each.error["code"] for each in told.resolved]
        assert errors == [None, "ambiguous", "not_found"]

    play(act)


def test_a_vm_that_services_keep_is_meant_by_its_exact_id_alone(play: Play) -> None:
    async def act(bus: FakeBus) -> None:
        kept = await reserve(bus, "0123456789ab", id="0123456789ab", keeper="pool")
        for ref in (kept.id, kept.id[:4]):
            assert await refusal(bus, store.VM_GET(ref=ref)) is Code.NOT_FOUND
            found = (await bus.ask(store.VM_RESOLVE(refs=[ref]))).resolved
            assert found[0].error
            told = store.VM_TRANSITION(ref=ref, state="stopping", expected=["created"])
            assert await refusal(bus, told) is Code.NOT_FOUND
        assert await bus.ask(store.VM_GET(ref=by_id(kept.id))) == kept
        assert (await bus.ask(store.VM_LIST())).vms == [kept]

    play(act)


def test_the_same_request_gives_the_same_vm(play: Play) -> None:
    async def act(bus: FakeBus) -> None:
        vm = await reserve(bus, "beta", publish=[port(8080)])
        again = reservation("other", request_id="request-beta", publish=[port(8080)])
        assert await bus.ask(store.VM_RESERVE.of(again)) == vm
        assert len((await bus.ask(store.VM_LIST())).vms) == 1

    play(act)


def test_names_ports_and_addresses_are_given_once(play: Play) -> None:
    async def act(bus: FakeBus) -> None:
        await reserve(bus, "beta", publish=[port(8080)])
        other = await reserve(bus, "other", names=["beta", "free"])
        assert (other.name, other.address) == ("free", "127.77.0.3")

        for request in (
            reservation("a", names=["beta"]),
            reservation("b", publish=[port(8080)]),
            reservation("c", subnet="10.0.0.0/31", network="bridge"),
        ):
            assert await refusal(bus, store.VM_RESERVE.of(request)) is Code.CONFLICT
        wanted = replace(other, publish=[port(8080)])
        update = store.VM_UPDATE(id=other.id, spec=wanted)
        assert await refusal(bus, update) is Code.CONFLICT
        rename = store.VM_UPDATE(id=other.id, name="beta")
        assert await refusal(bus, rename) is Code.CONFLICT
        assert await bus.ask(store.VM_GET(ref="free")) == other

    play(act)


def test_a_claim_is_checked_without_a_change(play: Play) -> None:
    async def act(bus: FakeBus) -> None:
        await reserve(bus, "beta", publish=[port(8080)])
        claims: list[dict[str, Any]] = [{"name": "beta"}, {"publish": [port(8080)]}]
        for claim in claims:
            assert await refusal(bus, store.VM_CHECK(**claim)) is Code.CONFLICT
            await bus.ask(store.VM_CHECK(**claim, id="id-beta"))
            await bus.ask(store.VM_CHECK(**claim, request_id="request-beta"))
        other = Publication(host_port=8080, guest_port=81)
        twice = store.VM_CHECK(id="id-beta", publish=[other])
        assert await refusal(bus, twice) is Code.CONFLICT
        await bus.ask(store.VM_CHECK(name="free", publish=[port(8081)]))
        assert (await bus.ask(store.VM_LIST())).seq == 1

    play(act)


def test_an_update_changes_what_is_given(play: Play) -> None:
    async def act(bus: FakeBus) -> None:
        vm = await reserve(bus, "beta")
        wanted = replace(vm, vcpu=4, allow=["db.vm"], vmm="qemu")
        assert await bus.ask(store.VM_UPDATE(id=vm.id, spec=wanted)) == wanted
        named = await bus.ask(store.VM_UPDATE(id=vm.id, name="gamma", state="failed", reason="so"))
        assert named == replace(wanted, name="gamma", state="failed", reason="so")
        assert await refusal(bus, store.VM_UPDATE(id="no", state="stopped")) is Code.NOT_FOUND
        late = store.VM_UPDATE(id=vm.id, state="stopped", expected=["running"])
        assert await refusal(bus, late) is Code.CONFLICT
        assert await bus.ask(store.VM_GET(ref="gamma")) == named

    play(act)


def test_a_transition_is_made_when_it_is_due(play: Play) -> None:
    async def act(bus: FakeBus) -> None:
        vm = await reserve(bus, "beta", state="running")
        stop = store.VM_TRANSITION(ref="bet", state="stopping", expected=["running", "paused"])
        done = await bus.ask(stop)
        assert (done.vm, done.before) == (replace(vm, state="stopping"), "running")
        again = await bus.ask(stop)
        assert (again.vm, again.before) == (done.vm, "stopping")
        assert (await bus.ask(store.VM_LIST())).seq == 2
        nobody = store.VM_TRANSITION(ref="no", state="stopping", expected=[])
        assert await refusal(bus, nobody) is Code.NOT_FOUND

    play(act)


def test_a_vm_wakes_as_long_as_its_state_was_stored_so(play: Play) -> None:
    async def act(bus: FakeBus) -> None:
        vm = await reserve(bus, "beta", state="running")
        asleep = store.VM_UPDATE(id=vm.id, state="suspended", wakes=True)
        assert (await bus.ask(asleep)).wakes
        assert (await bus.ask(store.VM_UPDATE(id=vm.id, spec=replace(vm, vcpu=2)))).wakes
        assert not (await bus.ask(store.VM_UPDATE(id=vm.id, state="suspended"))).wakes
        await bus.ask(asleep)
        started = store.VM_TRANSITION(ref="beta", state="starting", expected=["suspended"])
        assert not (await bus.ask(started)).vm.wakes

    play(act)


def test_a_touch_is_noted_and_is_no_change(play: Play) -> None:
    async def act(bus: FakeBus) -> None:
        vm = await reserve(bus, "beta")
        await bus.ask(store.VM_TOUCH(id=vm.id, at="2026-11-28T00:00:00Z"))
        await bus.ask(store.VM_TOUCH(id="nobody", at="2026-11-28T00:00:00Z"))
        rows = await bus.ask(store.VM_LIST())
        assert [row.touched_at for row in rows.vms] == ["2026-11-28T00:00:00Z"]
        assert rows.seq == 1

    play(act)


def test_a_removed_vm_is_gone_and_may_be_removed_again(play: Play) -> None:
    async def act(bus: FakeBus) -> None:
        vm = await reserve(bus, "beta")
        for _ in range(2):
            await bus.ask(store.VM_REMOVE(id=vm.id))
        rows = await bus.ask(store.VM_LIST())
        assert (rows.vms, rows.seq) == ([], 2)
        assert (await reserve(bus, "beta", id="new")).id == "new"

    play(act)


def test_workspaces_are_changed_by_their_own_verb_alone(play: Play) -> None:
    async def act(bus: FakeBus) -> None:
        before = await reserve(bus, "beta")
        workspace = Workspace(host_path="/src", guest_path="/root/repo", commit="c")
        place = store.VM_WORKSPACE(id=before.id, workspace=workspace)
        assert (await bus.ask(place)).workspaces == [workspace]
        after = await bus.ask(store.VM_UPDATE(id=before.id, spec=replace(before, vcpu=7)))
        assert (after.vcpu, after.workspaces) == (7, [workspace])
        assert (await bus.ask(store.VM_LIST())).seq == 2
        nobody = store.VM_WORKSPACE(id="nobody", workspace=workspace)
        assert await refusal(bus, nobody) is Code.NOT_FOUND

    play(act)
