"""What resolved is told, and that nothing depends on it. The program is scripted: it writes down
what it was called with."""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

import pytest

from services.nat.kernel.resolved import NameRouting, revert_commands, route_commands

SERVER = "10.77.0.1:42069"
SUBNETS = (IPv4Network("10.77.0.0/24"), IPv6Network("fd12:3456:789a:bcde::/64"))


def test_resolved_asks_us_for_our_zones_and_for_nothing_else() -> None:
    assert route_commands("br0", SERVER, SUBNETS) == (
        ("resolvectl", "dns", "br0", "10.77.0.1:42069"),
        (
            *("resolvectl", "domain", "br0", "~vm", "~0.77.10.in-addr.arpa"),
            "~e.d.c.b.a.9.8.7.6.5.4.3.2.1.d.f.ip6.arpa",
        ),
        ("resolvectl", "default-route", "br0", "no"),
    )
    assert revert_commands("br0") == (("resolvectl", "revert", "br0"),)


@pytest.fixture
def scripted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A resolvectl that fails when there is a file ``fail`` beside it; returns its directory."""
    program = tmp_path / "resolvectl"
    program.write_text(
        f'#!/bin/sh\necho "$@" >>{tmp_path}/calls\n'
        f'if [ -e {tmp_path}/fail ]; then echo "Access denied" >&2; exit 1; fi\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def test_link_is_set_up_and_reverted(scripted: Path) -> None:
    routing = NameRouting("br0", SERVER, SUBNETS)
    assert (routing.set(), routing.is_set) == ("", True)
    assert (routing.revert(), routing.is_set) == ("", False)
    calls = (scripted / "calls").read_text().splitlines()
    assert [call.split()[0] for call in calls] == ["dns", "domain", "default-route", "revert"]


def test_refusal_is_told_and_the_rest_not_tried(scripted: Path) -> None:
    (scripted / "fail").touch()
    routing = NameRouting("br0", SERVER, SUBNETS)
    assert "Access denied" in routing.set()
    assert not routing.is_set
    assert len((scripted / "calls").read_text().splitlines()) == 1


def test_without_resolvectl_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "not installed" in NameRouting("br0", SERVER, SUBNETS).set()
