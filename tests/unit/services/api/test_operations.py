"""Operations: begun, followed, ended, looked up, cancelled, forgotten."""

import asyncio
import time

import pytest

from services.api.operations import KEPT, KEPT_SECONDS, Operations
from shared.contract.messages.operation import Operation
from shared.errors import BangerError, Code

AT = "2026-01-01T00:00:00.000Z"


def begin(operations: Operations, id_: str, cancel: object = lambda: None) -> Operation:
    operation = Operation(id=id_, verb="vm.create", subject="a", state="running", started_at=AT)
    assert callable(cancel)
    operations.begin(operation, cancel)
    return operation


def test_progress_and_end_are_seen_by_whoever_looks() -> None:
    operations = Operations()
    operation = begin(operations, "aa")
    operations.progress("aa", "boot", "booting")
    assert (operation.state, operation.stage, operation.message) == ("running", "boot", "booting")
    operations.end("aa", None, AT, 0.0)
    assert (operations.find("a").state, operation.ended_at) == ("done", AT)


@pytest.mark.parametrize(
    ("code", "state"), [(Code.CANCELLED, "cancelled"), (Code.NO_SPACE, "failed")]
)
def test_an_error_says_how_it_ended(code: Code, state: str) -> None:
    operations = Operations()
    operation = begin(operations, "aa")
    operations.end("aa", BangerError(code, "words"), AT, 0.0)
    assert (operation.state, operation.message, operation.code) == (state, "words", code.value)


def test_progress_after_the_end_changes_nothing() -> None:
    operations = Operations()
    operation = begin(operations, "aa")
    operations.end("aa", None, AT, 0.0)
    operations.progress("aa", "boot", "late")
    assert operation.message == ""


def test_a_reference_is_a_unique_prefix() -> None:
    operations = Operations()
    begin(operations, "ab1")
    begin(operations, "ab2")
    assert operations.find("ab2").id == "ab2"
    for ref, code in (("ab", Code.AMBIGUOUS), ("x", Code.NOT_FOUND), ("", Code.INVALID)):
        with pytest.raises(BangerError) as caught:
            operations.find(ref)
        assert caught.value.code is code


def test_old_and_surplus_ones_are_forgotten_and_running_ones_never() -> None:
    operations = Operations()
    begin(operations, "running")
    for number in range(KEPT + 5):
        begin(operations, f"{number:04}")
        operations.end(f"{number:04}", None, AT, float(number))
    operations.prune(float(KEPT))
    kept = [operation.id for operation in operations.list()]
    assert len(kept) == KEPT + 1
    assert "0004" not in kept
    operations.prune(KEPT + 5 + KEPT_SECONDS)
    assert [operation.id for operation in operations.list()] == ["running"]


def test_cancelling_waits_for_the_end() -> None:
    async def scenario() -> None:
        operations = Operations()
        operation = begin(
            operations,
            "aa",
            lambda: asyncio.get_running_loop().call_soon(
                operations.end, "aa", BangerError(Code.CANCELLED, "cancelled"), AT, 0.0
            ),
        )
        await operations.cancelled(operation, time.monotonic() + 5)
        assert operation.state == "cancelled"
        with pytest.raises(BangerError) as caught:
            await operations.cancelled(operation, time.monotonic() + 5)
        assert caught.value.code is Code.CONFLICT

    asyncio.run(scenario())
