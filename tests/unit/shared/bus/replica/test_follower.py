"""The follower asks again for what it may have missed."""

import asyncio
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import zmq

from shared.bus.actor import Actor
from shared.bus.replica.follower import Follower
from shared.contract.messages.vm import VmRows


class Store:
    """Stands in for the actor of a service: where events come from, and who is asked for rows."""

    def __init__(self, directory: Path) -> None:
        self.paths = SimpleNamespace(event_socket=directory / "events.sock")
        self.background = SimpleNamespace(keep=asyncio.create_task)
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


def test_a_connection_made_while_a_snapshot_is_under_way_asks_for_another() -> None:
    """What happened between that snapshot and the connection is in neither."""

    async def scenario(directory: Path) -> None:
        store = Store(directory)
        follower = Follower(cast("Actor", store), lambda: None)
        await store.until_asked(1)
        with zmq.Context() as context, context.socket(zmq.XPUB) as publisher:
            publisher.bind(f"ipc://{store.paths.event_socket}")
            while not await asyncio.to_thread(publisher.poll, 20):
                pass  # a subscription comes with the connection
            await asyncio.sleep(0)
            store.asked[0].set_result(VmRows(seq=1, vms=[]))
            await store.until_asked(2)
            store.asked[1].set_result(VmRows(seq=1, vms=[]))
            await follower.close()

    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        asyncio.run(asyncio.wait_for(scenario(Path(directory)), 10))
