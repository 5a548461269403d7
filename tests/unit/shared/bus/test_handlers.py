"""Marks on handlers, and bodies that come from anybody."""

from typing import Any

import msgspec
import pytest

from shared.bus.handlers import collect_handlers, decode_request, encode_result, handles
from shared.contract.messages.vm import VmId
from shared.contract.verb import Verb
from shared.errors import BangerError, Code

GET = Verb("echo", "vm.get", VmId, type(None))
DROP = Verb("echo", "vm.drop", VmId, type(None))


class Base:
    @handles(GET)
    async def get(self, _request: VmId, _call: Any) -> None:
        """A verb that a subclass inherits."""


class Derived(Base):
    @handles(DROP)
    async def drop(self, _request: VmId, _call: Any) -> None:
        """A verb of its own."""

    async def unmarked(self) -> None:
        """No verb at all."""


def test_verbs_of_a_class_are_those_marked_in_it_and_its_bases() -> None:
    derived = Derived()
    found = collect_handlers(derived)
    assert sorted(found) == ["vm.drop", "vm.get"]
    assert found["vm.get"].answer == derived.get
    assert found["vm.get"].verb is GET


def test_body_is_decoded_as_what_the_verb_is_asked_with() -> None:
    assert decode_request(msgspec.msgpack.encode({"id": "x"}), VmId) == VmId(id="x")


@pytest.mark.parametrize(
    "body", [b"", b"\xc1", b"\x91" * 5000, msgspec.msgpack.encode({"id": 1}), b"\x81\xa2id\xa1\xff"]
)
def test_foreign_bytes_are_a_bad_message_and_nothing_else(body: bytes) -> None:
    with pytest.raises(BangerError) as caught:
        decode_request(body, VmId)
    assert caught.value.code is Code.BAD_MESSAGE


def test_no_result_is_an_empty_one() -> None:
    assert msgspec.msgpack.decode(encode_result(None)) == {"ok": True, "result": {}}
    answer = msgspec.msgpack.decode(encode_result(VmId(id="x")))
    assert answer == {"ok": True, "result": {"id": "x"}}
