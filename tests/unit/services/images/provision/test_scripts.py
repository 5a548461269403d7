from pathlib import Path

import pytest

from services.images.provision import scripts
from services.images.provision.commands import GuestCommands
from shared.errors import BangerError


def test_packages_are_installed_by_what_the_image_has(
    tmp_path: Path, commands: GuestCommands, said: list[str]
) -> None:
    program = tmp_path / "apk"
    program.write_text('#!/bin/sh\necho "apk $*"\n')
    program.chmod(0o755)
    commands.script("x", f"PATH={tmp_path}{scripts.INSTALL}", ["git", "a b"])
    assert said == ["apk add --no-cache -- git a b"]


def test_an_image_without_a_package_manager_says_so(commands: GuestCommands) -> None:
    with pytest.raises(BangerError, match="has none of apt-get"):
        commands.script("x", f"PATH=/nowhere{scripts.INSTALL}", ["git"])


def test_an_account_that_is_there_stays(commands: GuestCommands, said: list[str]) -> None:
    commands.script("x", scripts.ADD_USER, ["root"])
    assert said == []


def test_an_account_is_made_by_what_the_image_has(
    tmp_path: Path, commands: GuestCommands, said: list[str]
) -> None:
    for name, text in (("id", "exit 1"), ("adduser", 'echo "adduser $*"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    commands.script("x", f"PATH={tmp_path}{scripts.ADD_USER}", ["dev"])
    assert said == ["adduser -D -s /bin/bash dev"]


def test_a_directory_is_made_with_those_above_it(tmp_path: Path, commands: GuestCommands) -> None:
    commands.script("x", scripts.MAKE_DIRECTORY, [str(tmp_path / "a/b")])
    assert (tmp_path / "a/b").is_dir()
