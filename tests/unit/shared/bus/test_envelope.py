"""The header on the wire, with the plain msgpack library as an independent codec."""

from contextlib import suppress
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bus import envelope
from shared.bus.envelope import MAX_NAME, Envelope, Kind
from shared.errors import BangerError, Code

ID = bytes(range(16))
OTHER = bytes(range(16, 32))
GOOD: list[Any] = [2, ID, "store", "vm.list", 12.5]


def wire(fields: Any) -> bytes:
    packed: bytes = msgpack.packb(fields)
    return b"bngr\x01" + packed


def refused(header: bytes) -> Code:
    with pytest.raises(BangerError) as caught:
        envelope.decode(header)
    return caught.value.code


@pytest.mark.parametrize("kind", Kind)
def test_header_is_the_documented_bytes_and_comes_back_the_same(kind: Kind) -> None:
    header = Envelope(kind, ID, "vm:0123456789ab", "machine.start", 12.5, OTHER)
    encoded = envelope.encode(header)
    assert encoded == wire([int(kind), ID, "vm:0123456789ab", "machine.start", 12.5, OTHER])
    assert envelope.decode(encoded) == header


@given(
    st.sampled_from(Kind),
    st.binary(min_size=16, max_size=16),
    st.text(st.characters(codec="ascii"), max_size=MAX_NAME),
    st.floats(allow_nan=False),
)
def test_any_header_survives_the_round_trip(
    kind: Kind, rid: bytes, name: str, deadline: float
) -> None:
    header = Envelope(kind, rid, name, name, deadline)
    assert envelope.decode(envelope.encode(header)) == header


def test_fields_of_a_later_minor_version_are_ignored() -> None:
    assert envelope.decode(wire([*GOOD, b"", "more", 1])).verb == "vm.list"


def test_a_request_without_a_cause_is_its_own_origin() -> None:
    assert envelope.decode(wire(GOOD)).origin == ID
    assert envelope.decode(wire([*GOOD, b""])).origin == ID
    assert envelope.decode(wire([*GOOD, OTHER])).origin == OTHER


@pytest.mark.parametrize("cause", [bytes(15), bytes(17), "", None, 0])
def test_cause_is_a_request_id_or_nothing(cause: object) -> None:
    assert refused(wire([*GOOD, cause])) is Code.BAD_MESSAGE


@pytest.mark.parametrize("kind", [0, 9, -1, True, 2.0, "2", None, 2**63])
def test_unknown_kind_is_refused(kind: object) -> None:
    assert refused(wire([kind, *GOOD[1:]])) is Code.BAD_MESSAGE


@pytest.mark.parametrize("request_id", [b"", bytes(15), bytes(17), "0123456789abcdef", 1, None])
def test_request_id_is_exactly_16_bytes(request_id: object) -> None:
    assert refused(wire([2, request_id, *GOOD[2:]])) is Code.BAD_MESSAGE


@pytest.mark.parametrize("name", [b"store", 1, None, ["store"], "x" * 65, "\N{SNOWMAN}" * 22])
@pytest.mark.parametrize("position", [2, 3])
def test_names_are_strings_of_at_most_64_bytes(name: object, position: int) -> None:
    assert refused(wire([*GOOD[:position], name, *GOOD[position + 1 :]])) is Code.BAD_MESSAGE


@pytest.mark.parametrize("deadline", [1, True, "soon", None, float("nan")])
def test_deadline_is_a_float_and_a_number(deadline: object) -> None:
    assert refused(wire([*GOOD[:4], deadline])) is Code.BAD_MESSAGE


@pytest.mark.parametrize("fields", [[], GOOD[:4], {}, {"kind": 2}, 7, "header", None])
def test_anything_but_an_array_of_five_is_refused(fields: object) -> None:
    assert refused(wire(fields)) is Code.BAD_MESSAGE


@pytest.mark.parametrize("header", [b"", b"GET / HTTP/1.1", wire(GOOD)[:-1], wire(GOOD) + b"\x00"])
def test_foreign_cut_and_overlong_headers_are_refused(header: bytes) -> None:
    assert refused(header) is Code.BAD_MESSAGE


def test_deep_nesting_is_a_bad_message_not_a_crash() -> None:
    assert refused(b"bngr\x01" + b"\x91" * 200_000 + b"\xc0") is Code.BAD_MESSAGE


def test_another_protocol_version_is_incompatible_and_says_which() -> None:
    with pytest.raises(BangerError) as caught:
        envelope.decode(b"bngr\x02" + wire(GOOD)[5:])
    assert caught.value.code is Code.INCOMPATIBLE
    assert "protocol 2" in caught.value.message


@given(st.binary(max_size=200))
def test_no_bytes_make_the_header_decoder_raise_anything_else(noise: bytes) -> None:
    for header in (noise, b"bngr\x01" + noise):
        with suppress(BangerError):
            assert isinstance(envelope.decode(header), Envelope)


@given(st.binary(max_size=200))
def test_no_bytes_make_the_body_decoders_raise_anything_else(noise: bytes) -> None:
    for decode in (envelope.decode_body, envelope.read_final):
        with suppress(BangerError):
            assert isinstance(decode(noise), dict)


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.lists(JSON_LIKE, min_size=3, max_size=7))
def test_well_formed_arrays_of_any_types_are_bad_messages(fields: list[Any]) -> None:
    assert refused(wire([9, *fields])) is Code.BAD_MESSAGE


@given(st.dictionaries(st.sampled_from(["ok", "result", "error"]), JSON_LIKE))
def test_finals_of_any_shape_give_a_result_or_an_error(final: dict[str, Any]) -> None:
    try:
        result = envelope.read_final(msgpack.packb(final))
    except BangerError:
        assert not (final.get("ok") is True and isinstance(final.get("result"), dict))
    else:
        assert result == final["result"]


def test_success_comes_back_as_its_result() -> None:
    assert envelope.read_final(envelope.final_ok({"seq": 3})) == {"seq": 3}


def test_failure_comes_back_as_the_same_error() -> None:
    sent = BangerError(Code.CONFLICT, "beta exists", hint="choose another", details={"n": 1})
    with pytest.raises(BangerError) as caught:
        envelope.read_final(envelope.final_error(sent))
    assert caught.value.to_wire() == sent.to_wire()


def test_error_that_names_an_undecodable_file_still_reaches_the_caller() -> None:
    error = BangerError(Code.INVALID, "cannot read caf\udce9", details={"path": object()})
    with pytest.raises(BangerError) as caught:
        envelope.read_final(envelope.final_error(error))
    assert caught.value.message.startswith("cannot read caf")


@pytest.mark.parametrize(
    "body", [b"", b"\xc1", msgpack.packb([1]), msgpack.packb("x"), b"\x80\x80"]
)
def test_body_that_is_not_one_map_is_refused(body: bytes) -> None:
    with pytest.raises(BangerError) as caught:
        envelope.decode_body(body)
    assert caught.value.code is Code.BAD_MESSAGE


def test_request_ids_do_not_repeat() -> None:
    assert len({envelope.new_request_id() for _ in range(1000)}) == 1000
