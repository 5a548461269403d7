"""Two registries on loopback addresses, scripted by the tests."""

from collections.abc import Iterator

import pytest

from tests.oci.scripted_registry import ScriptedRegistry, scripted_registry


@pytest.fixture(name="registry")
def _registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedRegistry]:
    monkeypatch.setenv("REGISTRY_AUTH_FILE", "/nonexistent")
    with scripted_registry() as found:
        yield found


@pytest.fixture(name="other")
def _other() -> Iterator[ScriptedRegistry]:
    with scripted_registry(12) as found:
        yield found
