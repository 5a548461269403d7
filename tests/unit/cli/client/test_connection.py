"""How long a command waits for services that it has started."""

import pytest

from cli.client.connection import START_SECONDS, start_seconds
from shared.errors import BangerError, Code


def test_the_environment_decides_on_a_slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BANGER_START_SECONDS", raising=False)
    assert start_seconds() == START_SECONDS
    monkeypatch.setenv("BANGER_START_SECONDS", "60")
    assert start_seconds() == 60.0


@pytest.mark.parametrize("word", ["soon", "-1", "0", "nan", "inf"])
def test_what_is_no_number_of_seconds_is_refused(
    word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BANGER_START_SECONDS", word)
    with pytest.raises(BangerError) as raised:
        start_seconds()
    assert raised.value.code is Code.INVALID
