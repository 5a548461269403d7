import pytest

from services.images.building.source_text import refuse
from shared.errors import BangerError, Code


def test_an_error_names_file_and_line_and_is_clean() -> None:
    with pytest.raises(BangerError, match=r"^Dockerfile:3: bad.\[31m word$") as caught:
        refuse("Dockerfile", 3, "bad\x1b[31m word", "mend it")
    assert caught.value.code is Code.INVALID
    assert caught.value.details == {"line": 3}


def test_a_problem_of_the_whole_file_has_no_line() -> None:
    with pytest.raises(BangerError, match=r"^image\.toml: it is empty$"):
        refuse("image.toml", 0, "it is empty")
