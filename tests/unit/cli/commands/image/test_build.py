"""``banger image build``: of the catalogue, or of a file."""

from collections.abc import Callable

import pytest

from tests.unit.cli.commands.test_library import LIBRARY
from tests.unit.cli.conftest import Cli
from tests.unit.cli.peer import Peer

Begin = Callable[..., Peer]
BUILD = {"image.build": lambda _: LIBRARY["image"]}


def test_packages_are_added_to_an_image_of_its_own_name(cli: Cli, peer: Begin) -> None:
    services = peer(BUILD)
    words = ["--include", "git,vim", "--include", "curl", "--name", "py"]
    assert cli("image", "build", "debian-bookworm", *words, "-q").out == "1" * 16 + "\n"
    assert services.calls[0][1] == {
        "name": "debian-bookworm",
        "force": False,
        "as_name": "py",
        "include": ["git", "vim", "curl"],
    }


def test_a_dockerfile_is_built_with_what_lies_in_a_directory(cli: Cli, peer: Begin) -> None:
    services = peer(BUILD)
    (cli.root / "app").mkdir()
    (cli.root / "app/Dockerfile").write_text("FROM alpine\n")
    words = ["-f", "app/Dockerfile", "app", "-t", "app", "--build-arg", "A=b", "--build-arg", "C"]
    assert cli("image", "build", *words, "-o", "name", env={"C": "d"}).out == "debian-bookworm\n"
    assert services.calls[0][1] == {
        "file": f"{cli.root}/app/Dockerfile",
        "syntax": "dockerfile",
        "context": f"{cli.root}/app",
        "as_name": "app",
        "arguments": {"A": "b", "C": "d"},
        "force": False,
        "work_seed": False,
    }


@pytest.mark.parametrize(
    ("words", "file", "context"),
    [
        (["-f", "Dockerfile", "app"], "app/Dockerfile", "app"),
        (["./app"], "app/Dockerfile", "app"),
        (["-f", "other", "app"], "other", "app"),
    ],
)
def test_a_dockerfile_may_lie_in_the_directory(
    cli: Cli, peer: Begin, words: list[str], file: str, context: str
) -> None:
    services = peer(BUILD)
    (cli.root / "app").mkdir()
    for name in ("app/Dockerfile", "app/other", "other"):
        (cli.root / name).write_text("FROM alpine\n")
    assert cli("image", "build", *words, "-t", "app").status == 0
    body = services.calls[0][1]
    assert (body["file"], body["context"]) == (f"{cli.root}/{file}", f"{cli.root}/{context}")


def test_a_word_that_is_no_path_is_a_name_of_the_catalogue(cli: Cli, peer: Begin) -> None:
    services = peer(BUILD)
    (cli.root / "app").mkdir()
    assert cli("image", "build", "app").status == 0
    assert services.calls[0][1]["name"] == "app"


def test_a_toml_file_needs_no_option_and_copies_from_beside_itself(cli: Cli, peer: Begin) -> None:
    services = peer(BUILD)
    (cli.root / "sub").mkdir()
    (cli.root / "sub/tools.toml").write_text("")
    assert cli("image", "build", "sub/tools.toml", "--work-seed").status == 0
    body = services.calls[0][1]
    assert (body["syntax"], body["work_seed"]) == ("toml", True)
    assert body["context"] == f"{cli.root}/sub"
    assert cli("image", "build", "-f", "sub/tools.toml").status == 0
    assert services.calls[1][1]["context"] == str(cli.root)


def test_steps_reach_the_outside_when_that_is_asked_for(cli: Cli, peer: Begin) -> None:
    services = peer(BUILD)
    (cli.root / "tools.toml").write_text("")
    assert cli("image", "build", "tools.toml", "--nat").status == 0
    assert services.calls[0][1]["nat"] is True
    assert cli("image", "build", "tools.toml", "--egress", "allow=192.0.2.1").status == 0
    body = services.calls[1][1]
    assert (body["nat"], body["allow"]) == (False, ["192.0.2.1"])


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["debian-bookworm", "--build-arg", "A=b"],
        ["debian-bookworm", "--work-seed"],
        ["debian-bookworm", "--nat"],
        ["there.toml", "--nat", "--egress", "none"],
        ["there.toml", "--include", "git"],
        ["-f", "there.toml", "--build-arg", "NOT_SET"],
        ["-f", "there.toml", "--build-arg", "1=b"],
        ["-f", "not-there.toml"],
        ["not-there.toml"],
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_asked(
    cli: Cli, words: list[str]
) -> None:
    (cli.root / "there.toml").write_text("")
    assert cli("image", "build", *words).status == 2
    assert not cli.run_dir.exists()
