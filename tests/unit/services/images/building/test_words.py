import pytest

from services.images.building.words import BadWords, replaced, split

VALUES = {"NAME": "value", "EMPTY": "", "BLANKS": "two words"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a  b\tc", ["a", "b", "c"]),
        ("", []),
        ("a$NAME b", ["avalue", "b"]),
        ("${NAME}s", ["values"]),
        ("$BLANKS", ["two words"]),  # a value stays in its word
        ('"a b" c', ["a b", "c"]),
        ('"$NAME"', ["value"]),
        ("'$NAME'", ["$NAME"]),
        (r"\$NAME", ["$NAME"]),
        (r'"\$NAME \n"', [r"$NAME \n"]),
        (r"a\ b", ["a b"]),
        ("k='a b'c", ["k=a bc"]),
        ("$MISSING.", ["."]),
        ("${MISSING:-other}", ["other"]),
        ("${EMPTY:-other}", ["other"]),
        ("${NAME:-other}", ["value"]),
        ("${NAME:+set}", ["set"]),
        ("${MISSING:+set}", [""]),
        ("${MISSING:-${NAME}}", ["value"]),
        ("$ $1", ["$", "$1"]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert split(text, VALUES) == words


def test_one_word_keeps_its_blanks() -> None:
    assert replaced(" a  $NAME ", VALUES) == " a  value "


def test_without_values_nothing_is_replaced() -> None:
    assert split("$NAME", None) == ["$NAME"]


@pytest.mark.parametrize(
    "text", ["'a", '"a', "${NAME", "${}", "${NAME:?words}", "${NAME%x}", "${A:-" * 50 + "}" * 50]
)
def test_what_is_not_known_is_refused(text: str) -> None:
    with pytest.raises(BadWords):
        split(text, VALUES)
