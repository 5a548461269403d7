"""What a repository pins: each file, their order, and files that mean harm."""

import json
import os
from pathlib import Path

import pytest

from services.workspaces.tools.plan import LARGEST, MOST_TOOLS, needs_outside, plan_of
from shared.contract.messages.workspace import ToolWish

Words = list[tuple[str, str]]


def planned(top: Path, files: dict[str, str | bytes]) -> Words:
    for name, content in files.items():
        (top / name).write_bytes(content.encode() if isinstance(content, str) else content)
    wishes = plan_of(top, [os.fsencode(name) for name in files])
    return [(wish.name, wish.version) for wish in wishes]


@pytest.mark.parametrize(
    ("name", "text", "pins"),
    [
        ("mise.toml", '[tools]\nnode = "20"\ngo = "1.21"', [("node", "20"), ("go", "1.21")]),
        (".mise.toml", '[tools]\nnode = ["18", "20"]', [("node", "18")]),
        ("mise.toml", '[tools]\nrust = {version = "1.70", profile = "x"}', [("rust", "1.70")]),
        ("mise.toml", '[tools]\n"npm:@antfu/ni" = "0.21"', [("npm:@antfu/ni", "0.21")]),
        ("mise.toml", '[tools]\ngolang = "prefix:1.20"', [("go", "prefix:1.20")]),
        ("mise.toml", '[tools]\nnode = "sub-2:lts"', [("node", "sub-2:lts")]),
        ("mise.toml", '[tools]\nnode = "path:/usr"\njq = "system"', []),
        ("mise.toml", "[tools]\nnode = 20\npython = 3.11\ngo = []\njq = {}\nyq = [[]]", []),
        ("mise.toml", 'tools = "node"', []),
        ("mise.toml", "[tools", []),
        (
            ".tool-versions",
            "nodejs 20.1.0 # why\n# ruby 3\n\ngolang 1.21.3 1.20\nruby\n",
            [("node", "20.1.0"), ("go", "1.21.3")],
        ),
        (".tool-versions", "jq ref:master\n", [("jq", "ref:master")]),
        ("go.mod", "module x\n\ngo 1.21\n", [("go", "1.21")]),
        ("go.mod", "module x\ngo 1.22.3 // why\n", [("go", "1.22.3")]),
        ("go.mod", "go 1.19\n", [("go", "prefix:1.19")]),
        ("go.mod", "go 1.18rc1\n", [("go", "1.18rc1")]),
        ("go.mod", "go 1.21\ntoolchain go1.22.1\n", [("go", "1.22.1")]),
        ("go.mod", "go 1.21\ntoolchain go1.22.1-custom\n", [("go", "1.22.1")]),
        ("go.mod", "go 1.21\ntoolchain default\n", [("go", "1.21")]),
        ("go.mod", "go two\n", []),
        (".nvmrc", "v20.11.0\n", [("node", "20.11.0")]),
        (".nvmrc", "20\n", [("node", "20")]),
        (".nvmrc", "lts/*", [("node", "lts")]),
        (".nvmrc", "lts/hydrogen", [("node", "lts-hydrogen")]),
        (".nvmrc", "node", [("node", "latest")]),
        (".nvmrc", "# none\n", []),
        (".nvmrc", "system", []),
        (".node-version", "18.2\n", [("node", "18.2")]),
        ("package.json", '{"engines": {"node": ">=18"}}', [("node", "18")]),
        ("package.json", '{"engines": {"node": ">=0.10"}}', []),
        ("package.json", '{"engines": {"node": 18}}', []),
        ("package.json", '{"engines": "node"}', []),
        ("package.json", '{"volta": {"node": "18.1.0"}, "engines": {"node": "^16"}}',
         [("node", "18.1.0")]),
        ("package.json", '{"packageManager": "pnpm@8.6.0+sha256.0af"}', [("pnpm", "8.6.0")]),
        ("package.json", '{"packageManager": "yarn@4.0.0-rc.1"}', [("yarn", "4.0.0-rc.1")]),
        ("package.json", '{"packageManager": "evil@1"}', []),
        ("package.json", '{"packageManager": ["pnpm@1"]}', []),
        ("package.json", "[]", []),
        ("package.json", "null", []),
        ("package.json", '{"engines": {"node": 1' + "0" * 5000 + "}}", []),
        (".python-version", "3.11.4\n3.10\n", [("python", "3.11.4")]),
        (".python-version", "cpython-3.12\n", [("python", "3.12")]),
        (".python-version", "pypy3.10-7.3.12\n", [("python", "pypy3.10-7.3.12")]),
        (".python-version", ">=3.11\n", []),
        ("pyproject.toml", '[project]\nrequires-python = ">=3.11"', [("python", "3.11")]),
        ("pyproject.toml", "[project]\nrequires-python = 3.11", []),
        ("pyproject.toml", "project = 1", []),
        ("rust-toolchain", "1.70.0\n", [("rust", "1.70.0")]),
        ("rust-toolchain", '[toolchain]\nchannel = "nightly-2023-01-01"',
         [("rust", "nightly-2023-01-01")]),
        ("rust-toolchain.toml", '[toolchain]\nchannel = "stable"', [("rust", "stable")]),
        ("rust-toolchain.toml", '[toolchain]\npath = "/opt"', []),
    ],
)  # fmt: skip
def test_a_file_pins(tmp_path: Path, name: str, text: str, pins: Words) -> None:
    assert planned(tmp_path, {name: text}) == pins


@pytest.mark.parametrize(
    ("files", "pins"),
    [
        ({".nvmrc": "16", "mise.toml": '[tools]\nnode = "20"'}, [("node", "20")]),
        ({".nvmrc": "16", ".tool-versions": "nodejs 18"}, [("node", "18")]),
        ({"package.json": '{"engines": {"node": "14"}}', ".node-version": "16"}, [("node", "16")]),
        ({"package.json": '{"engines": {"node": "14"}}', ".nvmrc": "--x"}, [("node", "14")]),
        ({"pyproject.toml": '[project]\nrequires-python=">=3.8"', ".python-version": "3.12"},
         [("python", "3.12")]),
        ({"rust-toolchain.toml": '[toolchain]\nchannel="stable"', "rust-toolchain": "1.60"},
         [("rust", "1.60")]),
        ({"go.mod": "go 1.21", "package.json": '{"engines": {"node": "20"}}'},
         [("go", "1.21"), ("node", "20")]),
    ],
)  # fmt: skip
def test_the_first_file_that_pins_a_tool_counts(
    tmp_path: Path, files: dict[str, str | bytes], pins: Words
) -> None:
    assert planned(tmp_path, files) == pins


def test_a_wish_names_its_file(tmp_path: Path) -> None:
    (tmp_path / ".nvmrc").write_text("20")
    wishes = plan_of(tmp_path, [b".nvmrc"])
    assert wishes == [ToolWish(name="node", version="20", source=".nvmrc")]


def test_only_selected_files_at_the_top_level_count(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in (".nvmrc", "sub/.python-version"):
        (tmp_path / name).write_text("3.11")
    assert plan_of(tmp_path, [b"sub/.python-version", b"README", b"\xff"]) == []


HOSTILE: dict[str, str | bytes] = {
    "option as name": '[tools]\n"--config" = "1"',
    "option as version": '[tools]\nnode = "--help"',
    "blank": '[tools]\nnode = "20 --force"',
    "shell": '[tools]\nnode = "$(id)"\n"a;b" = "1"',
    "control": '[tools]\nnode = "20\\u001b[2J"\n"n\\u0000" = "1"',
    "line break": '[tools]\nnode = "20\\n21"',
    "leading out": '[tools]\nnode = "ref:../../etc"\n"a/../b" = "1"',
    "long": f'[tools]\nnode = "{"2" * 1000}"\n{"n" * 1000} = "1"',
    "not text": b"[tools]\nnode = '\xff\xfe'",
    "nested": "a = " + "[" * 100_000,
    "huge": '[tools]\nnode = "20"\n#' + "x" * LARGEST,
    "unicode digits": '[tools]\nnode = "\u0662\u0660"',
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_asks_for_nothing(tmp_path: Path, text: str | bytes) -> None:
    assert planned(tmp_path, {"mise.toml": text}) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("package.json", "[" * 100_000),
        ("package.json", '{"a":' * 30_000),
        ("package.json", json.dumps({"engines": {"node": ">" * 200_000}})),
        ("package.json", json.dumps({"packageManager": "pnpm@1" + "-" * 200_000})),
        ("pyproject.toml", f'[project]\nrequires-python = "{">=3.8.a" * 10_000}"'),
        ("go.mod", "go " * 80_000),
        ("go.mod", "toolchain go1.2" + "." * 200_000),
        (".tool-versions", " \n" * 100_000),
        (".nvmrc", "\x00" * 1000),
        (".nvmrc", "-v"),
        ("rust-toolchain", "+nightly"),
    ],
)
@pytest.mark.timeout(10)
def test_hostile_text_of_other_files_asks_for_nothing(tmp_path: Path, name: str, text: str) -> None:
    assert planned(tmp_path, {name: text}) == []


def test_the_number_of_tools_is_bounded(tmp_path: Path) -> None:
    lines = "".join(f"tool{number} 1\n" for number in range(1000))
    assert len(planned(tmp_path, {".tool-versions": lines})) == MOST_TOOLS


def test_no_link_is_followed_and_nothing_but_a_regular_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("20")
    (tmp_path / ".nvmrc").symlink_to("elsewhere")
    os.mkfifo(tmp_path / ".node-version")
    (tmp_path / ".python-version").mkdir()
    names = [b".nvmrc", b".node-version", b".python-version", b"go.mod"]
    assert plan_of(tmp_path, names) == []


def test_what_is_said_without_the_outside() -> None:
    node = ToolWish(name="node", version="20", source=".nvmrc")
    go = ToolWish(name="go", version="1.21", source="go.mod")
    assert needs_outside([node]) == (
        "the repository pins node 20 (.nvmrc); installing it needs the outside: "
        "add --nat, or silence this with --no-bootstrap"
    )
    assert "go 1.21 (go.mod) and node 20 (.nvmrc); installing them needs" in needs_outside(
        [go, node]
    )
