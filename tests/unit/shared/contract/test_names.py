import pytest

from shared.contract.names import check_name
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
