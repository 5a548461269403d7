"""dns beside dnsmasq: behind it, by the recipe of docs/dns.md, and before it, as its upstream."""

import asyncio
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dnslib import DNSRecord

from services.dns.forward.forwarder import AgedReply, Forwarder
from services.dns.wire.reply import address_of
from tests.home import REPOSITORY
from tests.integration.test_dns import Running, by_udp, free_port, query
from tests.unit.services.dns.messages import key
from tests.waiting import eventually

DNSMASQ = shutil.which("dnsmasq", path=f"{os.environ['PATH']}:/usr/sbin")

pytestmark = pytest.mark.skipif(DNSMASQ is None, reason="needs dnsmasq (dnsmasq-base)")


@contextmanager
def dnsmasq(directory: Path, *lines: str) -> Iterator[int]:
    """One with these lines of configuration; its port on 127.0.0.1."""
    port = free_port()
    user = pwd.getpwuid(os.getuid()).pw_name
    own = ("no-resolv", "no-hosts", "listen-address=127.0.0.1", "bind-interfaces", "pid-file=")
    configuration = directory / "dnsmasq.conf"
    configuration.write_text("\n".join([*own, f"port={port}", f"user={user}", *lines, ""]))
    argv = [str(DNSMASQ), "--keep-in-foreground", f"--conf-file={configuration}"]
    with subprocess.Popen(argv, stderr=subprocess.PIPE) as process:
        try:
            eventually(lambda: _listens(port))
            yield port
        finally:
            process.terminate()


def _listens(port: int) -> bool:
    lines = Path("/proc/net/udp").read_text().splitlines()
    return any(f":{port:04X} " in line for line in lines)


@pytest.fixture
def server() -> Iterator[Running]:
    running = Running()
    yield running
    running.close()
    assert running.complaints == []


def recipe() -> list[str]:
    """The lines of docs/dns.md for dnsmasq, for VMs of root's own subnet."""
    text = (REPOSITORY / "docs" / "dns.md").read_text()
    section = text.partition("## dnsmasq")[2]
    (block,) = re.findall(r"```\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    lines = block.replace("ZONE", "77.127.in-addr.arpa").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_dnsmasq_with_the_recipe_finds_vms_and_turns_rebinding_down(
    server: Running, tmp_path: Path
) -> None:
    lines = [line.replace("#42069", f"#{server.address[1]}") for line in recipe()]
    with dnsmasq(tmp_path, "stop-dns-rebind", *lines) as port:

        def ask(name: str, kind: str = "A") -> DNSRecord:
            return by_udp(("127.0.0.1", port), query(name, kind).pack())

        assert str(ask("beta.vm").rr[0].rdata) == "127.77.0.2"
        assert str(ask("2.0.77.127.in-addr.arpa", "PTR").rr[0].rdata) == "beta.vm."
        assert ask("nobody.vm").header.rcode == 3


def test_dnsmasq_is_a_good_upstream(tmp_path: Path) -> None:
    records = [
        "host-record=node.example.net,192.0.2.1,300",
        "cname=www.example.org,node.example.net",
        "local=/example.org/",
        *(f"host-record=big.example.org,192.0.2.{number}" for number in range(1, 200)),
    ]

    async def ask(port: int) -> list[AgedReply | None]:
        forwarder = Forwarder(frozenset(), resolv_conf=tmp_path / "resolv.conf", port=port)
        names = ("www.example.org", "nobody.example.org", "big.example.org")
        try:
            return [await forwarder.resolve(key(name)) for name in names]
        finally:
            await forwarder.close()

    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    with dnsmasq(tmp_path, *records) as port:
        alias, nobody, big = asyncio.run(ask(port))
    assert alias is not None
    assert nobody is not None
    assert big is not None
    assert [str(address_of(record)) for record in alias[0].records] == ["None", "192.0.2.1"]
    assert nobody[0].rcode == 3
    assert len({address_of(record) for record in big[0].records}) == 199  # which is by TCP
