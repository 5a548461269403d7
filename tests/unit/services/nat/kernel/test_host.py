"""What is asked of the host beside our own tables must not keep guests from the network."""

import pytest

from services.nat.kernel import host
from services.nat.kernel.nftables import LoadedRules
from shared.errors import BangerError, Code


def test_older_tables_that_cannot_be_read_are_told_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_bridge: str) -> None:
        raise BangerError(Code.UNAVAILABLE, "iptables-legacy refused: no such table", hint="look")

    monkeypatch.setattr("services.nat.kernel.iptables.firewalls", refuse)
    found = host.look_at_firewalls(LoadedRules("banger", (), {}), "br-banger")
    assert found.docker == ()
    assert found.obstacles == ("iptables-legacy refused: no such table; look",)
