"""What a guest says before the pack, honest or not."""

import io

import pytest

from services.workspaces.incoming.answer import MOST_BYTES, GuestAnswer, read_answer
from shared.errors import BangerError, Code

OID = "1" * 40


def read(said: bytes) -> GuestAnswer:
    return read_answer(io.BytesIO(said).read, "/root/repo")


def test_an_answer_ends_before_the_pack() -> None:
    stream = io.BytesIO(
        f"tree {OID}\nprepared {OID}\nbase {OID}\nhead {OID}\nbranch a b\ncommits 3\nrewritten x\n"
        "left new/one\nleft two\n\nPACK".encode()
    )
    assert read_answer(stream.read, "/root/repo") == GuestAnswer(
        OID, OID, OID, OID, "a b", 3, True, ("new/one", "two")
    )
    assert stream.read() == b"PACK"
    assert read(b"tree " + b"2" * 64 + b"\n\n").tree == "2" * 64


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\n",
        b"Welcome!\n\n",
        b"tree 123\n\n",
        b"tree " + b"G" * 40 + b"\n\n",
        f"tree {OID}\n".encode(),
        f"tree {OID}".encode(),
        f"tree {OID}\ntree {OID}\n\n".encode(),
        f"tree {OID}\nhead --help\n\n".encode(),
        f"tree {OID}\nhead {OID[1:]}\xff\n\n".encode("latin-1"),
        f"tree {OID}\ncommits 9999999999\n\n".encode(),
        f"tree {OID}\ncommits -1\n\n".encode(),
        f"tree {OID}\n".encode() + b"left x\n" * 200 + b"\n",
        b"x" * (MOST_BYTES + 1),
    ],
    ids=range(14),
)
def test_other_words_are_no_answer(said: bytes) -> None:
    with pytest.raises(BangerError) as caught:
        read(said)
    assert caught.value.code is Code.GUEST_FAILED


def test_words_of_the_guest_are_clean_and_short() -> None:
    said = f"tree {OID}\nbranch \x1b[31m".encode() + b"\xff" * 2000 + b"\nleft \x07\n\n"
    found = read(said)
    assert found.branch.isprintable()
    assert len(found.branch) <= 255
    assert found.left[0].isprintable()


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("git", Code.MISSING_TOOL),
        ("path", Code.NOT_FOUND),
        ("repository", Code.NOT_FOUND),
        ("failed", Code.GUEST_FAILED),
        ("anything", Code.GUEST_FAILED),
    ],
)
def test_a_refusal_has_the_guests_words(kind: str, code: Code) -> None:
    with pytest.raises(BangerError) as caught:
        read(f"refused {kind}\nfatal: \x1b no\nmore\n".encode() + b"x" * 5000)
    assert caught.value.code is code
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 2200
