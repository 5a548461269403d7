"""How refusals read."""

from services.images.oci.flatten.limits import damaged, refused, show, too_large
from shared.errors import Code


def test_names_of_others_are_shown_clean_and_short() -> None:
    assert show(b"a\x1b[31m\xff") == "a\ufffd[31m\ufffd"
    assert len(show(b"x" * 5000)) == 120


def test_each_refusal_has_its_code_and_says_what_to_do() -> None:
    errors = (damaged("x"), refused("x"), too_large("x"))
    assert [error.code for error in errors] == [Code.INVALID, Code.INVALID, Code.TOO_LARGE]
    assert all(error.hint for error in errors)
