"""What became of a copy."""

import time
from typing import Any

import pytest

from cli.guest.transfer.outcome import KEPT, CopyOutcome
from shared.errors import BangerError, Code


def test_a_copy_without_failures_raises_nothing() -> None:
    CopyOutcome(lambda _: None).finish()


def test_failures_are_one_error_with_the_code_of_the_first() -> None:
    made = CopyOutcome(lambda _: None)
    made.files = 1
    made.failed(BangerError(Code.DENIED, "a", hint="do", details={"errno": "EACCES"}))
    for number in range(1000):
        made.failed(BangerError(Code.NOT_FOUND, f"b{number}"))
    with pytest.raises(BangerError) as caught:
        made.finish()
    error = caught.value
    assert error.code == Code.DENIED
    assert error.message == "a; b0; b1; and 998 more"
    assert error.hint == "do; everything else was copied"
    assert error.details["errno"] == "EACCES"
    assert error.details["number_failed"] == 1001
    assert len(error.details["failed"]) == KEPT


def test_progress_is_shown_once_a_copy_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    shown: list[dict[str, Any]] = []
    made = CopyOutcome(shown.append)
    made.total = 4_000_000
    made.moved(1_000_000)
    assert shown == []
    now[0] += 2
    made.moved(1_000_000)
    made.moved(1_000_000)
    assert shown == [{"stage": "copy", "message": "2 MB, 1.0 MB/s", "fraction": 0.5}]
