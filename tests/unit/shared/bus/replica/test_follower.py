"""The follower asks again for what it may have missed, and reports what its service uses."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec

from shared.bus.actor import Actor
from shared.bus.replica.follower import Follower
from shared.bus.socket import Publisher
from shared.contract.messages.rows import VmChanged, VmRows
from shared.contract.messages.vm import Vm
from tests.example import example_vm

BETA = example_vm()


class Store:
    """Stands in for the actor of a service: where events come from, and who is asked for rows."""

    def __init__(self, directory: Path) -> None:
        self.paths = SimpleNamespace(event_socket=directory / "events.sock")
        self.background = SimpleNamespace(spawn=asyncio.create_task)
        self.asked: list[asyncio.Future[VmRows]] = []
        self._more = asyncio.Event()

    async def ask(self, *_arguments: Any, deadline: float) -> VmRows:
        del deadline
        self.asked.append(asyncio.get_running_loop().create_future())
        self._more.set()
        return await self.asked[-1]

    async def until_asked(self, times: int) -> None:
        async with asyncio.timeout(5):
            while len(self.asked) < times:
                self._more.clear()
                await self._more.wait()

    @contextmanager
    def publisher(self) -> Iterator[Publisher]:
        """As the broker has it: a follower asks again once its subscriptions are confirmed."""
        loop, publisher = asyncio.get_running_loop(), Publisher(self.paths.event_socket)
        loop.add_reader(publisher.fd, publisher.confirm)
        try:
            yield publisher
        finally:
            loop.remove_reader(publisher.fd)
            publisher.close()


def run(scenario: Callable[[Store], Awaitable[None]]) -> None:
    async def bounded(directory: Path) -> None:
        await asyncio.wait_for(scenario(Store(directory)), 10)

    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        asyncio.run(bounded(Path(directory)))


def test_a_subscription_that_comes_into_force_asks_for_another_snapshot() -> None:
    """What happened between the first one and the subscription is in neither."""

    async def scenario(store: Store) -> None:
        follower = Follower(cast("Actor", store), lambda vm: vm.id, lambda: None)
        await store.until_asked(1)
        with store.publisher():
            store.asked[0].set_result(VmRows(seq=1, vms=[]))
            await store.until_asked(2)
            store.asked[1].set_result(VmRows(seq=1, vms=[]))
            await follower.close()

    run(scenario)


def test_events_and_snapshots_are_reported_only_when_they_change_a_view() -> None:
    reports: asyncio.Queue[list[str]] = asyncio.Queue()

    async def scenario(store: Store) -> None:
        def report() -> None:
            reports.put_nowait([vm.name for vm in follower.replica.vms.values()])

        follower = Follower(cast("Actor", store), lambda vm: vm.name, report)
        await store.until_asked(1)
        with store.publisher() as publisher:
            store.asked[0].set_result(VmRows(seq=1, vms=[BETA]))
            assert await reports.get() == ["beta"]
            await store.until_asked(2)  # the snapshot that the subscription asks for
            store.asked[1].set_result(VmRows(seq=1, vms=[BETA]))
            for seq, name in ((2, "gamma"), (4, "delta")):
                renamed = msgspec.structs.replace(BETA, name=name)
                send(publisher, seq, renamed)
                assert await reports.get() == [name]
                send(publisher, seq + 1, msgspec.structs.replace(renamed, touched_at="now"))
            send(publisher, 6, BETA)
            assert await reports.get() == ["beta"]
            assert follower.replica.seq == 6
            await follower.close()

    run(scenario)


def test_a_snapshot_of_several_pages_is_as_of_the_first() -> None:
    """A change in between may be on a later page or not; its event is applied in any case."""
    ids = ["a", "b", "c"]
    rows = {each: msgspec.structs.replace(BETA, id=each, name=each) for each in ids}

    async def scenario(store: Store) -> None:
        changed = asyncio.Event()
        follower = Follower(cast("Actor", store), lambda vm: vm.name, changed.set)
        await store.until_asked(1)
        with store.publisher() as publisher:
            store.asked[0].set_result(VmRows(seq=1, vms=[]))
            await store.until_asked(2)  # the snapshot that the subscription asks for
            store.asked[1].set_result(VmRows(seq=1, vms=[rows["a"]], next="a"))
            await store.until_asked(3)
            send(publisher, 2, msgspec.structs.replace(rows["a"], name="z"))
            send(publisher, 3, rows["c"])  # reported to nobody: the snapshot has it
            send(publisher, 4, msgspec.structs.replace(rows["b"], name="y"))
            store.asked[2].set_result(VmRows(seq=3, vms=[rows["b"], rows["c"]]))
            async with asyncio.timeout(5):
                while follower.replica.seq != 4:
                    changed.clear()
                    await changed.wait()
            assert {vm.id: vm.name for vm in follower.replica.vms.values()} == {
                "a": "z", "b": "y", "c": "c"
            }  # fmt: skip
            await follower.close()

    run(scenario)


def send(publisher: Publisher, seq: int, vm: Vm) -> None:
    publisher.publish("vm.changed", b"", msgspec.msgpack.encode(VmChanged(seq=seq, vm=vm)))
