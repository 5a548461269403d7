"""Names are looked up as programs of this host do it, and not waited for long."""

import socket
import threading
import time
from typing import Any

import pytest

from cli.commands.vm.inspect import name_resolution
from cli.commands.vm.inspect.name_resolution import resolves


def test_name_that_leads_to_the_address_resolves() -> None:
    assert resolves("localhost", "127.0.0.1")
    assert not resolves("localhost", "127.77.0.2")


def test_unknown_name_does_not() -> None:
    assert not resolves("", "127.77.0.2")


def test_resolver_that_waits_for_others_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def waits(*_: Any, **__: Any) -> list[Any]:
        over.wait(20)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", waits)
    monkeypatch.setattr(name_resolution, "SECONDS", 0.05)
    began = time.monotonic()
    assert not resolves("web.vm", "127.77.0.2")
    assert time.monotonic() - began < 10
    over.set()
