"""Guests that ask dns on the bridge: a host with its services, guests and a name server outside,
each in a network namespace made for the test."""

import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from dnslib import QTYPE

from tests.integration.namespaces import Namespace
from tests.integration.upstream import Asked, Upstream, reply_to
from tests.stack import new_stack
from tests.waiting import eventually

PORT = 42069
GATEWAY, UPSTREAM = "10.77.0.1", "127.0.0.53"
CONFIG = """\
network = "bridge"
ipv6 = true
dns.resolv_conf = "{resolv_conf}"
"""
ZONE = {
    "www.example.org.": (
        "www.example.org 5 IN CNAME e.example.net",
        "e.example.net 300 IN A 192.31.196.1",
    ),
    "two.example.org.": (
        "two.example.org 5 IN A 192.31.196.2",
        "two.example.org 5 IN A 192.31.196.3",
    ),
    "mail.example.org.": ("mail.example.org 60 IN MX 10 mx.example.org",),
    "bad.example.org.": ("bad.example.org 5 IN A 127.0.0.1", "bad.example.org 5 IN A 10.77.0.3"),
    "half.example.org.": (
        "half.example.org 5 IN A 192.31.196.9",
        "half.example.org 5 IN A 169.254.1.1",
    ),
    "big.example.org.": tuple(f"big.example.org 5 IN A 192.31.196.{n}" for n in range(60)),
}


def outside(asked: Asked) -> list[bytes]:
    """What the name server outside says: what ZONE has, which is MX of one name and A of others."""
    answers = ZONE.get(asked.name.lower())
    if answers is None:
        return [reply_to(asked, rcode=3)]
    kind = QTYPE.MX if asked.name.startswith("mail") else QTYPE.A
    return [reply_to(asked, *answers) if asked.record.q.qtype == kind else reply_to(asked)]


class Lab:
    """The host, its bridge, its services, and the name server it uses."""

    def __init__(self, cleanup: ExitStack) -> None:
        self._cleanup = cleanup
        self.host = Namespace()
        cleanup.callback(self.host.close)
        directory = cleanup.enter_context(tempfile.TemporaryDirectory())
        self.resolv_conf = Path(directory) / "resolv.conf"
        self.resolv_conf.write_text(f"nameserver {UPSTREAM}\n")
        self.upstream = Upstream(self.host, UPSTREAM, outside, port=53)
        cleanup.callback(self.upstream.close)
        self.stack = cleanup.enter_context(new_stack(CONFIG.format(resolv_conf=self.resolv_conf)))
        self.stack.start("broker")
        self.stack.start("store")
        self.stack.start("nat", module="tests.integration.nat_service")
        # Before there is a bridge: its address is listened on all the same.
        self.stack.start("dns", self.host.run)
        eventually(lambda: self.stack.call("dns", "dns.status")["listening"])
        self.make_bridge()
        self.guests: dict[str, Namespace] = {}
        self.addresses: dict[str, str] = {}

    def make_bridge(self) -> None:
        # As nat makes it: one without an address of its own takes another with each new port, and
        # guests' ARP caches are wrong.
        self.host.sh("ip link add br-banger address 06:62:67:72:00:01 type bridge")
        self.host.sh(f"ip addr add {GATEWAY}/24 dev br-banger")
        self.host.sh("ip link set br-banger up")

    def plug(self, name: str, address: str) -> Namespace:
        """A guest on the bridge."""
        guest = Namespace()
        self._cleanup.callback(guest.close)
        port = f"veth-{name}"
        self.host.sh(f"ip link add {port} type veth peer name eth0 netns {guest.path}")
        self.host.sh(f"ip link set {port} master br-banger up")
        guest.sh(f"ip addr add {address}/24 dev eth0")
        guest.sh("ip link set eth0 up")
        self.guests[name], self.addresses[name] = guest, address
        return guest

    def boot(self, name: str, **row: Any) -> Namespace:
        """A VM of the store that is up, and its guest."""
        vm_id = name[0] * 12
        vm = self.stack.reserve(vm_id, name, network="bridge", subnet="10.77.0.0/24", **row)
        self.stack.call("store", "vm.update", id=vm_id, state="running")
        guest = self.plug(name, vm["address"])
        eventually(lambda: "NOERROR" in self.dig(name, f"{name}.vm"))
        return guest

    def dig(self, name: str, *words: str, short: bool = False) -> str:
        """What dig says in the guest ``name``; with ``short`` the answer's data alone."""
        argv = ["dig", f"@{GATEWAY}", "-p", str(PORT), "+tries=1", "+time=3", *words]
        if short:
            argv.append("+short")
        place = self.guests.get(name, self.host)
        return place.run(lambda: _output(argv))

    def opened(self) -> list[dict[str, Any]]:
        """What nat was asked to open since the last time."""
        asked: list[dict[str, Any]] = self.stack.call("nat", "noting.take")["asked"]
        return asked

    def pid(self, service: str) -> int:
        services = self.stack.call("broker", "broker.services")["services"]
        return next(int(each["pid"]) for each in services if each["name"] == service)

    def files(self, pid: int) -> int:
        """How many descriptors it has open."""
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())

    def log(self) -> str:
        return self.stack.paths.log_file("dns").read_text()


def _output(argv: list[str]) -> str:
    return subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False).stdout
