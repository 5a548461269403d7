"""Each claim of docs/security.md is held by a test that exists."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/security.md").read_text()
REFERENCE = re.compile(r"`([a-z0-9_/]+\.py)::(test_\w+)`")
UNHELD = ("Parties", "What does not hold")
"""Chapters that claim nothing."""


def claims() -> list[str]:
    """The rows of the tables that claim something."""
    chapters = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
    held = [chapter for chapter in chapters if not chapter.startswith(UNHELD)]
    rows = [line for chapter in held for line in chapter.splitlines() if line.startswith("| ")]
    return [row for row in rows if "| held by |" not in row and "| --- |" not in row]


def test_every_test_that_is_named_exists() -> None:
    named = REFERENCE.findall(PAGE)
    assert len(named) >= len(claims())
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not re.search(rf"\bdef {name}\(", (ROOT / "tests" / path).read_text())
    ]
    assert missing == []


def test_every_claim_names_a_test() -> None:
    assert len(claims()) > 15
    assert [claim for claim in claims() if not REFERENCE.search(claim)] == []
