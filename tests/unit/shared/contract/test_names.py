import pytest

from shared.contract.names import What, check_name
from shared.errors import BangerError, Code


@pytest.mark.parametrize("name", ["a", "0", "beta-2", "a--b", "a" * 63])
def test_label_is_a_name_and_is_not_rewritten(name: str) -> None:
    assert check_name(name, "a VM") == name


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "A", "a_b", "a.b", "a b", "a\n", "a" * 64, "größe", "../x", "٣"]
)
def test_anything_else_is_invalid_and_says_what_is_allowed(name: str) -> None:
    with pytest.raises(BangerError) as caught:
        check_name(name, "an image")
    assert caught.value.code is Code.INVALID
    assert "an image" in caught.value.message
    assert "1 to 63" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "what"),
    [("ecb491a0f3d2", "a VM"), ("202611281234", "a VM"), ("0123456789abcdef", "an image")],
)
def test_a_name_of_the_form_of_an_id_is_refused(name: str, what: What) -> None:
    with pytest.raises(BangerError) as caught:
        check_name(name, what)
    assert caught.value.code is Code.INVALID
    assert "the form of an id" in caught.value.message


@pytest.mark.parametrize("name", ["cafe", "ecb491a0f3d", "ecb491a0f3d2e", "ecb491a0f3dg"])
def test_hexadecimal_names_of_another_length_are_names(name: str) -> None:
    assert check_name(name, "a VM") == name
