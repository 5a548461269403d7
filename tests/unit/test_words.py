"""What a person reads: each `banger` command that a hint, an error, a help text or a document names
is there, with the options that it is named with."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import click
import pytest

from cli.app import banger

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path for top in ("cli", "services", "shared") for path in ROOT.glob(f"{top}/**/*.py")
)
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "Makefile", "scripts/setup")
    for path in ROOT.glob(pattern)
    if path.name != "CHANGELOG.md"  # it names what was there once
)
PROSE = frozenset("decides did does has in is knows message needs reaches runs uses whose".split())
"""Words that follow the product's name in a sentence."""
ARGUMENT = "ARGUMENT"
"""Stands for a value that only a running program knows."""

_NAMED = re.compile(r"(?<!-m )(?<![\w/.-])banger((?: +[^\s`,;()]+)+)")
_WORD = re.compile(r"-{1,2}[A-Za-z][\w-]*|[a-z][a-z0-9-]*")
_ENDS = frozenset({"--", "|", "&&", "||", ">", "#"})
"""Words after which another program's begin."""


@dataclass(frozen=True)
class Mention:
    """A command as a text names it: the words after ``banger``, and where."""

    words: tuple[str, ...]
    place: str


def mentions(text: str, place: str) -> Iterator[Mention]:
    """Each command that ``text`` names. A line break ends one."""
    for line in text.splitlines():
        for found in _NAMED.finditer(line):
            words = tuple(takewhile(lambda word: word not in _ENDS, found[1].split()))
            if words and words[0].rstrip(":.") not in PROSE:
                yield Mention(words, place)


def texts(tree: ast.AST) -> Iterator[str]:
    """Every string of a module as a reader may see it; ``ARGUMENT`` for what is filled in."""
    inside = {id(part) for node in ast.walk(tree) for part in _parts(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else ARGUMENT
                for part in node.values
            )
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in inside
        ):
            yield re.sub(r"\{\w*\}", ARGUMENT, node.value)


def _parts(node: ast.AST) -> list[ast.expr]:
    return node.values if isinstance(node, ast.JoinedStr) else []


def code_of(document: str) -> str:
    """The code spans and code blocks of a Markdown text, one a line."""
    blocks = re.findall(r"^```.*?$(.*?)^```", document, re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```.*?^```", "", document, flags=re.MULTILINE | re.DOTALL)
    spans = (span.replace("\n", " ") for span in re.findall(r"`([^`]+)`", prose))
    return "\n".join([*blocks, *spans])


def problem(mention: Mention) -> str:
    """Why there is no such command, or ""."""
    command: click.Command = banger
    words = list(mention.words)
    while isinstance(command, click.Group) and words:
        word = _WORD.match(words.pop(0))
        if word is None:
            return ""  # "banger NOUN list", "banger …": any of them
        if word[0].startswith("-"):
            return "" if word[0] in _options(command) else f"no option {word[0]}"
        found = command.get_command(click.Context(command), word[0])
        if found is None:
            return f"{command.name} has no command {word[0]}"
        command = found
    missing = [one for one in _options_named(words, command) if one not in _options(command)]
    return f"{command.name} has no option {missing[0]}" if missing else ""


def _options_named(words: list[str], command: click.Command) -> Iterator[str]:
    """Options among the words after a command. Other words are arguments, or the rest of the
    sentence; those of a command that runs in a guest have options of their own."""
    runs_another = any(one.nargs == -1 and one.name == "command" for one in command.params)
    arguments = 0
    for word in words:
        option = _WORD.match(word) if word.startswith("-") else None
        arguments += not option
        if runs_another and arguments > 1:
            return
        if option:
            yield option[0]


def _options(command: click.Command) -> set[str]:
    context = click.Context(command, help_option_names=["-h", "--help"])
    return {
        name for one in command.get_params(context) for name in (*one.opts, *one.secondary_opts)
    }


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_that_a_text_of_the_program_names_is_there(path: Path) -> None:
    place = str(path.relative_to(ROOT))
    named = [one for text in texts(ast.parse(path.read_text())) for one in mentions(text, place)]
    assert [(one, why) for one in named if (why := problem(one))] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_that_a_document_names_is_there(path: Path) -> None:
    text = path.read_text()
    code = code_of(text) if path.suffix == ".md" else text
    named = mentions(code, str(path.relative_to(ROOT)))
    assert [(one, why) for one in named if (why := problem(one))] == []


@pytest.mark.parametrize(
    "text",
    [
        "run it: banger system install",
        "free some space: banger vm list, banger image forget",
        "`banger vm run --no-such-option`",
        "sudo banger doctor --cure",
        "banger vm exec --bogus web -- make",
        "banger removes what it has made",
    ],
)
def test_what_is_not_there_is_found(text: str) -> None:
    assert [why for one in mentions(text, "") if (why := problem(one))]


@pytest.mark.parametrize(
    "text",
    [
        "banger vm list shows those there are",
        "start it: banger vm start {name}",
        "banger vm run --rm -- make --bogus",
        "banger vm run -d --name=web",
        "banger vm exec web -- sh -c 'exit 42'",
        "see `banger vm run --help`; banger decides the rest",
        "banger --version",
        "$ banger vm ls",
        "~/.local/share/banger holds them",
    ],
)
def test_what_is_there_is_accepted(text: str) -> None:
    assert [why for one in mentions(text, "") if (why := problem(one))] == []


def test_a_formatted_text_is_read_with_its_gaps() -> None:
    tree = ast.parse('f"banger {noun} list: {1 + 1} of banger vm {verb} --all"')
    assert list(texts(tree)) == [
        f"banger {ARGUMENT} list: {ARGUMENT} of banger vm {ARGUMENT} --all"
    ]


def test_only_the_code_of_a_document_is_read() -> None:
    document = "banger can do this: `banger\nvm list`.\n```sh\nbanger vm ssh\n```\n"
    assert [one.words for one in mentions(code_of(document), "")] == [("vm", "ssh"), ("vm", "list")]


def test_there_is_something_to_read() -> None:
    found = [one for path in SOURCES for text in texts(ast.parse(path.read_text()))
             for one in mentions(text, "")]  # fmt: skip
    assert len(found) > 100
    assert len(DOCUMENTS) > 20
