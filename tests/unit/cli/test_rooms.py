"""Which folders of the command line may import which: no circle, and no arrow back up."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SOURCES = sorted(path.relative_to(ROOT) for path in ROOT.glob("cli/**/*.py"))
ARROWS = {
    "": {"parsing", "terminal"},
    "commands": {"client", "guest", "parsing", "terminal"},
    "doctor": {"client", "terminal"},
    "parsing": {"client"},  # completers ask the services
    "client": {"terminal"},
    "guest": {"terminal"},
    "terminal": set[str](),
}
"""Folder, "" for cli itself, to the folders that its modules import."""


def room(parts: tuple[str, ...]) -> str:
    """``parts`` of a dotted name or a path that begins with "cli"."""
    return parts[1] if (ROOT / "cli" / parts[1]).is_dir() else ""


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def arrows(path: Path) -> set[str]:
    """Other rooms that a module imports from."""
    names = [name.split(".") for name in imported(path)]
    rooms = {room(tuple(parts)) for parts in names if parts[0] == "cli"}
    return rooms - {room(path.parts)}


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_a_module_imports_only_from_the_folders_below_its_own(path: Path) -> None:
    assert arrows(path) <= ARROWS[room(path.parts)]


def test_there_is_no_arrow_that_nobody_needs() -> None:
    found = {name: set[str]() for name in ARROWS}
    for path in SOURCES:
        found[room(path.parts)] |= arrows(path)
    assert found == ARROWS
