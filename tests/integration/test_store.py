"""The store killed at random moments: what it acknowledged is there, the rest not by half."""

import os
import random
import signal
import sqlite3
import subprocess
from typing import Any

import msgspec
import pytest

from shared.bus.envelope import Kind
from shared.contract.messages.rows import VmRows
from shared.contract.messages.vm import Vm
from shared.errors import BangerError
from tests.home import Home
from tests.integration.peer import Peer
from tests.waiting import eventually

MUTATIONS = int(os.environ.get("BANGER_STORE_MUTATIONS", "100"))
"""`make chaos-store` asks for 500: a minute on an idle machine of two cores."""
KILL_EVERY = 8
"""One of so many mutations, on average, is cut short by a kill."""


class Crashing:
    """Broker and store without a launcher, so that no restart policy comes between."""

    def __init__(self, home: Home, peer: Peer) -> None:
        self._home = home
        self._peer = peer
        self._store = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        store = self._home.spawn("services.store")
        eventually(lambda: self._serves(store.pid))
        return store

    def _serves(self, pid: int) -> bool:
        try:
            answer = self._peer.final(self._peer.ask("store", "", kind=Kind.PING, seconds=1))
        except BangerError:
            return False
        return bool(answer["pid"] == pid)

    def crash(self) -> None:
        self._store.send_signal(signal.SIGKILL)
        self._store.wait(5)

    def restart(self) -> None:
        self._store = self._start()

    def end(self) -> None:
        self._store.terminate()
        self._store.wait(10)


def reserve_body(number: int) -> dict[str, Any]:
    return {
        "id": f"{number:012x}",
        "names": [f"vm-{number}"],
        "image_id": "i",
        "image_name": "debian",
        "kernel_id": "k",
        "vcpu": 1,
        "memory_mib": 512,
        "disk_bytes": 8 * 1024**3,
        "overlay_bytes": 8 * 1024**3,
        "nat": False,
        "network": "user",
        "subnet": "127.77.0.0/16",
        "request_id": f"request-{number}",
    }


def reserve(peer: Peer, number: int, crashing: Crashing | None, pause: float) -> Vm | None:
    """One reservation, with the store killed ``pause`` seconds after it was sent; None when no
    answer came back."""
    request_id = peer.ask("store", "vm.reserve", reserve_body(number))
    if crashing:
        # Not a wait for something: the moment of the crash itself is what the seed picks.
        signal.sigtimedwait([], pause)
        crashing.crash()
    try:
        return msgspec.convert(peer.final(request_id), Vm)
    except BangerError:
        assert crashing, "only a crash may fail a reservation"
        return None


@pytest.mark.parametrize("seed", [1])
def test_acknowledged_changes_survive_kills_and_no_other_is_half_there(
    home: Home, seed: int
) -> None:
    chance = random.Random(seed)
    broker = home.spawn("services.broker")
    eventually(home.paths.broker_socket.exists)
    acknowledged: dict[int, Vm] = {}
    with Peer(home.paths.broker_socket) as peer:
        crashing = Crashing(home, peer)
        for number in range(MUTATIONS):
            crash = chance.randrange(KILL_EVERY) == 0
            vm = reserve(peer, number, crashing if crash else None, chance.uniform(0, 0.006))
            if vm:
                acknowledged[number] = vm
            if crash:
                crashing.restart()
                check(peer, acknowledged, number)
        repeat_what_was_not_answered(peer, acknowledged)
        crashing.end()
    broker.terminate()
    assert broker.wait(5) == 0
    check_database(home)


def check(peer: Peer, acknowledged: dict[int, Vm], last: int) -> None:
    """Every acknowledged VM is there as it was answered; the counter counts what is there."""
    rows = msgspec.convert(peer.call("store", "vm.list"), VmRows)
    there = {vm.id: vm for vm in rows.vms}
    for vm in acknowledged.values():
        assert there[vm.id] == vm
    assert rows.seq == len(rows.vms) <= last + 1


def repeat_what_was_not_answered(peer: Peer, acknowledged: dict[int, Vm]) -> None:
    """The same request id again: whether it had happened or not, it has happened once now."""
    for number in set(range(MUTATIONS)) - acknowledged.keys():
        acknowledged[number] = msgspec.convert(
            peer.call("store", "vm.reserve", **reserve_body(number)), Vm
        )
    check(peer, acknowledged, MUTATIONS - 1)
    assert len({vm.address for vm in acknowledged.values()}) == MUTATIONS


def check_database(home: Home) -> None:
    """SQLite itself finds nothing wrong, and every VM has the request that made it."""
    connection = sqlite3.connect(home.paths.database)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    orphans = "SELECT count(*) FROM vm LEFT JOIN mutation ON vm_id = vm.id WHERE vm_id IS NULL"
    assert connection.execute(orphans).fetchone() == (0,)
    connection.close()


def test_fifty_creates_at_once_get_each_vm_of_the_pool_once(home: Home) -> None:
    broker = home.spawn("services.broker")
    eventually(home.paths.broker_socket.exists)
    with Peer(home.paths.broker_socket) as peer:
        store = Crashing(home, peer)
        for number in range(20):
            waits = {"state": "paused", "keeper": "pool", "template": "key"}
            peer.call("store", "vm.reserve", **reserve_body(number) | waits)
        wanted = [
            reserve_body(number) | {"template": "key", "names": [f"web-{number}"]}
            for number in range(100, 150)
        ]
        asked = [peer.ask("store", "vm.claim", body) for body in wanted]
        got = [taken(peer, request) for request in asked]
        given_away = [vm_id for vm_id in got if vm_id != "not_found"]
        assert len(given_away) == 20
        assert set(given_away) == {f"{number:012x}" for number in range(20)}
        assert got.count("not_found") == 30
        store.end()
    broker.terminate()
    assert broker.wait(5) == 0


def taken(peer: Peer, request_id: bytes) -> str:
    try:
        return str(peer.final(request_id)["id"])
    except BangerError as error:
        return error.code.value
