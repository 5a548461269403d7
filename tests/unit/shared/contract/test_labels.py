"""Labels as users write them, and what comes of a change."""

import pytest

from shared.contract.labels import LONGEST_VALUE, MOST_LABELS, merged, parse_label
from shared.errors import BangerError


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("team=web", ("team", "web")),
        ("example.org/tier=a=b", ("example.org/tier", "a=b")),
        ("empty=", ("empty", "")),
        ("note=é 1", ("note", "é 1")),
        ("team-", ("team", None)),
        ("a-b=-", ("a-b", "-")),
    ],
)
def test_a_label_is_set_by_key_and_value_or_removed(
    text: str, label: tuple[str, str | None]
) -> None:
    assert parse_label(text) == label


@pytest.mark.parametrize(
    "text",
    ["", "team", "=web", "-", "te am=web", "-x=1", "k" * 64 + "=1", "k=\x1b]52", "k=a\nb",
     "k=" + "v" * (LONGEST_VALUE + 1)],
)  # fmt: skip
def test_what_is_no_label_is_refused(text: str) -> None:
    with pytest.raises(BangerError):
        parse_label(text)


def test_changes_add_replace_and_remove() -> None:
    labels = {"team": "web", "tier": "a"}
    after = merged(labels, {"tier": "b", "team": None, "new": "1", "never": None})
    assert after == {"tier": "b", "new": "1"}
    assert labels == {"team": "web", "tier": "a"}


@pytest.mark.parametrize("changes", [{"bad key": "1"}, {"k": "\x07"}, {"bad key": None}])
def test_the_service_checks_again_what_the_command_line_has_parsed(
    changes: dict[str, str | None],
) -> None:
    with pytest.raises(BangerError):
        merged({}, changes)


def test_labels_have_a_limit() -> None:
    full = {f"k{number}": "" for number in range(MOST_LABELS)}
    assert merged(full, {"k0": "again"})["k0"] == "again"
    with pytest.raises(BangerError, match="at most"):
        merged(full, {"one-more": ""})
