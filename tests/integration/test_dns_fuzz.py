"""Mangled packets: through the real code by the thousand, and at the running service by UDP.

``BANGER_DNS_FUZZ`` is how many go through the code (100000 is the bar of the product, some 80 s).
"""

import asyncio
import contextlib
import gc
import os
import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from services.dns.answers import GuestResponder, ZoneResponder
from services.dns.forward.forwarder import Forwarder
from services.dns.wire.format import UDP_LARGEST
from services.dns.wire.query import Query, read_query, write_answer
from services.dns.wire.reply import Reply, alias_chain, read_reply, write_records
from services.dns.zone.zone import Zone
from shared.contract.messages.network import NatAllow
from shared.contract.messages.vm import Vm
from shared.logs import Log
from tests.example import example_vm
from tests.integration import mangled
from tests.integration.dns_lab import GATEWAY, PORT, Lab
from tests.integration.upstream import Here, Upstream, reply_to
from tests.unit.services.dns.messages import asked, query
from tests.waiting import eventually

COUNT = int(os.environ.get("BANGER_DNS_FUZZ", "6000"))
SEED = 20261126
BY_UDP = 3000
GROWTH = 2_000_000
"""Octets of memory that a run may add: caches that fill up, and noise."""

SUBNET = IPv4Network("10.77.0.0/24")
ZONE = Zone({"beta": [IPv4Address("127.77.0.2")]}, [IPv4Network("127.77.0.0/16"), SUBNET], serial=7)


def through_the_code(chance: random.Random, responder: ZoneResponder) -> None:
    """One mangled query and one mangled reply, as far as they go."""
    packet, tcp = mangled.query(chance), chance.random() < 0.3
    given = responder.answer(packet, tcp=tcp)
    assert given is None or given[:2] == packet[:2]
    assert tcp or len(given or b"") <= UDP_LARGEST
    found = read_query(packet)
    question = query("www.example.org")
    reply = read_reply(
        mangled.reply(chance, 7), (found if isinstance(found, Query) else question).key, 7
    )
    reply = reply or read_reply(mangled.reply(chance, 7), question.key, 7)
    if isinstance(reply, Reply):
        links = alias_chain(reply, question.key.name)
        body = write_records(links, 10)
        assert len(write_answer(question, reply.rcode, (len(links), 0), body, tcp=False)) <= 512
        assert (
            len(write_answer(question, reply.rcode, reply.counts, reply.aged(10), tcp=False)) <= 512
        )


@pytest.mark.timeout(900)
def test_mangled_packets_end_nothing_and_leave_nothing() -> None:
    chance, responder = random.Random(SEED), ZoneResponder(ZONE)
    for _ in range(COUNT // 3):  # until caches are full
        through_the_code(chance, responder)
    gc.collect()
    memory = resident(os.getpid())
    for _ in range(COUNT - COUNT // 3):
        through_the_code(chance, responder)
    gc.collect()
    assert resident(os.getpid()) - memory < GROWTH
    assert responder.answer(asked("beta.vm"), tcp=False)


def test_guest_and_name_server_that_both_send_nonsense(tmp_path: Path) -> None:
    """Every reply is mangled before the right one comes: the guest gets an answer or none."""
    chance = random.Random(SEED)
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.21\n")
    upstream = Upstream(
        Here(),
        "127.0.0.21",
        lambda asked: [
            mangled.reply(chance, asked.record.header.id),
            reply_to(asked, "www.example.org 0 IN A 192.0.2.1"),
        ],
    )

    async def allow(_request: NatAllow) -> None:
        return

    async def ask(guests: GuestResponder, vm: Vm) -> bool:
        packet = mangled.query(chance)
        given = guests.answer(packet, vm.address, tcp=False)
        got = await given if asyncio.iscoroutine(given) else given
        assert got is None or got[:2] == packet[:2]
        return got is not None

    async def whole() -> int:
        forwarder = Forwarder(
            frozenset(), resolv_conf=tmp_path / "resolv.conf", port=upstream.port, each=0.5, total=1
        )
        log = Log(tmp_path / "dns.log", "dns")
        guests = GuestResponder(
            ZoneResponder(ZONE), ZoneResponder(ZONE), SUBNET, forwarder, allow, log
        )
        row = {"network": "bridge", "state": "running"}
        vms = [
            example_vm(id=f"{n:012x}", name=f"g{n}", address=f"10.77.0.{n}", nat=n % 2 == 0, **row)
            for n in range(2, 200)
        ]
        for vm in vms:
            vm.allow = [] if vm.nat else ["*.example.org"]
        guests.set_vms(vms)
        answered = 0
        for _ in range(30):
            got = await asyncio.gather(*(ask(guests, chance.choice(vms)) for _ in range(50)))
            answered += sum(got)
        await forwarder.close()
        assert len(asyncio.all_tasks()) == 1
        log.close()
        return answered

    files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    try:
        assert asyncio.run(whole()) > 500
    finally:
        upstream.close()
    assert len(os.listdir("/proc/self/fd")) < files  # noqa: PTH208
    assert upstream.asked


@pytest.fixture
def lab() -> Iterator[Lab]:
    with ExitStack() as cleanup:
        yield Lab(cleanup)


def resident(pid: int) -> int:
    """Octets, proc_pid_status(5)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def send(target: tuple[str, int], count: int, seed: int) -> int:
    """Mangled queries, twenty at a time; how many answers came."""
    chance, heard = random.Random(seed), 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(target)
        sender.settimeout(0.02)
        for _ in range(count // 20):
            for _ in range(20):
                sender.send(mangled.query(chance))
            with contextlib.suppress(OSError):  # until there is a silence
                while sender.recv(65535):
                    heard += 1
    return heard


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces")
@pytest.mark.timeout(300)
def test_running_service_is_none_the_worse(lab: Lab) -> None:
    guest, stranger = lab.boot("alpha", nat=True), lab.plug("stranger", "10.77.0.99")
    pid = lab.pid("dns")
    lab.host.run(lambda: send(("127.0.0.1", PORT), BY_UDP, SEED))
    guest.run(lambda: send((GATEWAY, PORT), 300, SEED))
    files, memory = lab.files(pid), resident(pid)
    assert lab.host.run(lambda: send(("127.0.0.1", PORT), BY_UDP, SEED + 1))
    assert guest.run(lambda: send((GATEWAY, PORT), 300, SEED + 1))
    # Who could have any source it likes gets nothing, so nothing larger than it sent.
    assert stranger.run(lambda: send((GATEWAY, PORT), 300, SEED)) == 0
    eventually(lambda: lab.files(pid) <= files)
    assert resident(pid) - memory < GROWTH
    assert lab.pid("dns") == pid
    assert "status: NOERROR" in lab.dig("alpha", "alpha.vm")
    assert '"error"' not in lab.log()
