"""Answers that were given before."""

from services.dns.zone.memo import ENTRIES, QUESTION_LARGEST, Memo
from tests.unit.services.dns.messages import asked, replied

QUESTION = asked("beta.vm")
ANSWER = bytes(replied("beta.vm", "A", "beta.vm 1 IN A 127.77.0.2", identity=0x1234, aa=1).pack())


def test_same_question_under_another_id_gets_the_same_answer_under_that_id() -> None:
    memo = Memo()
    memo.keep(QUESTION, ANSWER, tcp=False)
    assert memo.find(b"\xab\xcd" + QUESTION[2:], tcp=False) == b"\xab\xcd" + ANSWER[2:]


def test_transport_and_every_octet_of_the_question_count() -> None:
    memo = Memo()
    memo.keep(QUESTION, ANSWER, tcp=False)
    assert memo.find(QUESTION, tcp=True) is None
    assert memo.find(asked("BETA.vm"), tcp=False) is None


def test_answer_without_authority_is_not_kept() -> None:
    memo = Memo()
    memo.keep(QUESTION, bytes(replied("beta.vm", rcode=5, identity=0x1234).pack()), tcp=False)
    assert memo.find(QUESTION, tcp=False) is None


def test_long_question_is_not_kept() -> None:
    memo = Memo()
    memo.keep(QUESTION + bytes(QUESTION_LARGEST), ANSWER, tcp=True)
    assert len(memo) == 0


def test_it_is_bounded_and_the_oldest_goes_first() -> None:
    memo = Memo()
    for number in range(ENTRIES + 1):
        memo.keep(asked(f"n{number}.vm"), ANSWER, tcp=False)
    assert len(memo) == ENTRIES
    assert memo.find(asked("n0.vm"), tcp=False) is None
    assert memo.find(asked(f"n{ENTRIES}.vm"), tcp=False)


def test_clear_forgets_everything() -> None:
    memo = Memo()
    memo.keep(QUESTION, ANSWER, tcp=False)
    memo.clear()
    assert memo.find(QUESTION, tcp=False) is None
