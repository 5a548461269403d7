"""Answers of an agent that may say anything: each is what was asked for, or a failed guest."""

import base64
import contextlib
import json
from collections.abc import Iterator
from typing import Any, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.vm_supervisor.guest.agent_answers import (
    ExecStarted,
    ExecStatus,
    GuestInterface,
    Piece,
    decode_answer,
    is_sync_reply,
)
from shared.errors import BangerError, Code

KINDS: list[Any] = [ExecStarted, ExecStatus, Piece, list[GuestInterface], int, object]

any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
fields = ("pid", "exited", "exitcode", "signal", "out-data", "eof", "buf-b64", "name")
near_miss = st.fixed_dictionaries({}, optional=dict.fromkeys(fields, any_json))


def returned(result: object) -> bytes:
    return json.dumps({"return": result}).encode() + b"\n"


def refused(desc: str) -> bytes:
    return json.dumps({"error": {"class": "GenericError", "desc": desc}}).encode() + b"\n"


def failure(line: bytes, kind: Any = object) -> BangerError:
    with pytest.raises(BangerError) as caught:
        decode_answer("guest-x", line, kind)
    return caught.value


@contextlib.contextmanager
def suppress_failed_guest() -> Iterator[None]:
    """Let ``guest_failed`` pass, and no other error."""
    try:
        yield
    except BangerError as error:
        if error.code is not Code.GUEST_FAILED:
            raise


def is_a(kind: Any, answer: object) -> bool:
    return isinstance(answer, get_origin(kind) or kind)


def test_started_command_has_a_pid() -> None:
    assert decode_answer("guest-exec", returned({"pid": 7}), ExecStarted).pid == 7


def test_command_that_runs_has_neither_status_nor_output() -> None:
    status = decode_answer("guest-exec-status", returned({"exited": False}), ExecStatus)
    assert status == ExecStatus(exited=False)


def test_output_of_a_command_may_be_any_bytes() -> None:
    output = bytes(range(256))
    answer = {"exited": True, "exitcode": 1, "out-data": base64.b64encode(output).decode()}
    status = decode_answer("guest-exec-status", returned(answer), ExecStatus)
    assert (status.exitcode, status.out_data, status.err_data) == (1, output, b"")


@given(st.binary(max_size=300), st.booleans())
def test_piece_of_a_file_arrives_as_it_was_sent(content: bytes, eof: bool) -> None:
    answer = {"count": len(content), "buf-b64": base64.b64encode(content).decode(), "eof": eof}
    assert decode_answer("guest-file-read", returned(answer), Piece) == Piece(eof, content)


def test_fields_that_a_newer_agent_adds_are_ignored() -> None:
    answer: list[dict[str, object]] = [
        {"name": "eth0", "hardware-address": "02:…", "statistics": None, "new": [{}]}
    ]
    kind = list[GuestInterface]
    assert decode_answer("guest-x", returned(answer), kind) == [GuestInterface("eth0")]


def test_answer_without_a_meaning_is_taken_whatever_it_is() -> None:
    assert decode_answer("guest-ping", returned({}), object) == {}


@given(st.binary(max_size=200), st.sampled_from(KINDS))
def test_any_bytes_are_an_answer_or_a_failed_guest(line: bytes, kind: Any) -> None:
    with suppress_failed_guest():
        assert is_a(kind, decode_answer("guest-x", line, kind))


@given(near_miss | st.lists(near_miss) | any_json, st.sampled_from(KINDS))
def test_any_result_is_of_the_kind_that_was_asked_for_or_a_failed_guest(
    result: object, kind: Any
) -> None:
    with suppress_failed_guest():
        assert is_a(kind, decode_answer("guest-x", returned(result), kind))


@pytest.mark.parametrize(
    ("kind", "result"),
    [
        (ExecStarted, {"pid": "7"}),
        (ExecStarted, {"pid": True}),
        (ExecStarted, {"pid": -1}),
        (ExecStarted, {"pid": 1 << 47}),
        (ExecStarted, {"pid": 7.5}),
        (ExecStarted, {}),
        (ExecStarted, [7]),
        (ExecStatus, {"exited": 1}),
        (ExecStatus, {"exited": True, "exitcode": "0"}),
        (ExecStatus, {"exited": True, "out-data": "no base64!"}),
        (ExecStatus, {"exited": True, "out-data": ["aGk="]}),
        (Piece, {"buf-b64": "aGk="}),
        (Piece, {"eof": False, "buf-b64": "aGk"}),
        (list[GuestInterface], {"name": "eth0"}),
        (list[GuestInterface], [{"name": None}]),
        (list[GuestInterface], [{"name": "e", "statistics": {"rx-bytes": 1}}]),
        (list[GuestInterface], [{"name": "e", "statistics": {"rx-bytes": -1, "tx-bytes": 0}}]),
        (list[GuestInterface], [{"name": "e", "statistics": {"rx-bytes": 1, "tx-bytes": 1e30}}]),
        (int, None),
        (int, "5"),
    ],
)
def test_field_of_another_type_or_out_of_range_is_a_failed_guest(kind: Any, result: object) -> None:
    error = failure(returned(result), kind)
    assert error.code is Code.GUEST_FAILED
    assert "an invalid answer to guest-x" in error.message


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"{}",
        b"null",
        b'{"return": {}} {"return": {}}',
        b'{"return": {}',
        b'{"return": NaN}',
        b'{"error": 1}',
        b'{"error": {"desc": 1}}',
        b'{"error": {"desc": "\xff"}}',
        b'{"return": "\xff\xfe"}',
        b'{"return": "\\ud800"}',
        b"\xff\xfe{\x00}\x00",
        b'{"return": ' + b"[" * 100_000,
        b'{"return": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"x": ' + b'{"x":' * 100_000,
    ],
    ids=lambda line: repr(line[:30]),
)
def test_line_that_is_no_answer_is_a_failed_guest(line: bytes) -> None:
    assert failure(line).code is Code.GUEST_FAILED


def test_number_of_a_million_digits_is_a_failed_guest() -> None:
    assert failure(b'{"return": ' + b"9" * 1_000_000 + b"}", int).code is Code.GUEST_FAILED


def test_complaint_about_an_answer_does_not_repeat_it() -> None:
    huge = "x" * 1_000_000
    for line in (returned({"pid": huge}), returned({huge: huge}), returned(huge)):
        assert len(failure(line, ExecStarted).message) < 300


def test_sums_of_counters_stay_within_64_bits() -> None:
    most = (1 << 47) - 1
    interfaces = [{"name": "e", "statistics": {"rx-bytes": most, "tx-bytes": most}}] * 1000
    kind = list[GuestInterface]
    answer = decode_answer("guest-x", returned(interfaces), kind)
    assert sum(each.statistics.rx_bytes for each in answer if each.statistics) < 1 << 63


@pytest.mark.parametrize("words", ["No such file or directory", "Failed to execute child process"])
def test_refusal_for_want_of_a_file_is_not_found(words: str) -> None:
    error = failure(refused(f"failed to open '/f': {words}"))
    assert error.code is Code.NOT_FOUND
    assert error.message == f"the guest agent refused guest-x: failed to open '/f': {words}"


@pytest.mark.parametrize("words", ["", "Handle '5' has not been found", "Permission denied"])
def test_any_other_refusal_is_a_failed_guest(words: str) -> None:
    assert failure(refused(words)).code is Code.GUEST_FAILED


def test_refusal_without_words_is_a_refusal() -> None:
    assert failure(b'{"error": {}}').message == "the guest agent refused guest-x: "


def test_refusal_counts_more_than_a_result_beside_it() -> None:
    assert failure(b'{"return": 5, "error": {"desc": "no"}}', int).message.endswith(": no")


def test_of_a_long_refusal_only_the_beginning_is_kept() -> None:
    message = failure(refused("why " * 250_000)).message
    assert message.startswith("the guest agent refused guest-x: why why")
    assert len(message) < 300


@given(st.text())
def test_refusal_holds_nothing_that_a_terminal_would_obey(words: str) -> None:
    assert failure(refused(words)).message.isprintable()


def test_refusal_is_one_line_of_the_words_that_can_be_printed() -> None:
    message = failure(refused("\x1b]0;owned\x07 Zugriff für\nniemand")).message
    assert message.endswith(": \ufffd]0;owned\ufffd Zugriff für niemand")


@given(st.integers(0, 1 << 31), st.binary(max_size=40).filter(lambda stray: b"\n" not in stray))
def test_delimited_reply_counts_whatever_came_before_it(sync_id: int, stray: bytes) -> None:
    line = stray + b"\xff" + returned(sync_id)
    assert is_sync_reply(line, sync_id)
    assert not is_sync_reply(line, sync_id + 1)


@pytest.mark.parametrize(
    "tail",
    [
        b"",
        b"\n",
        b"3",
        b'{"return": "3"}',
        b'{"return": [3]}',
        b'{"return": 3, "more": 1}',
        b'{"error": {"desc": "3"}}',
        b'{"return": 3} x',
        b'{"return": ' + b"3" * 10_000 + b"}",
        b"\xfe\x80",
        b"[" * 100_000,
        b'{"return":' * 100_000,
    ],
    ids=lambda tail: repr(tail[:30]),
)
def test_nonsense_behind_the_delimiter_is_no_reply(tail: bytes) -> None:
    assert not is_sync_reply(b"\xff" + tail, 3)


def test_reply_without_the_delimiter_may_be_meant_for_another_client() -> None:
    assert not is_sync_reply(returned(3), 3)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_reply_or_none(line: bytes) -> None:
    assert is_sync_reply(line, 3) in (True, False)
