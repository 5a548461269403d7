"""Code that root runs is root's alone, on every step of the way to it."""

import os
from pathlib import Path

import pytest

from services.nat.deployment.trust import FLAG, check_code, running_code
from shared.errors import BangerError, Code

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the way to a test's files is not root's")
OTHER = 4242


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A module in a package in a directory, all root's."""
    package = tmp_path / "lib" / "package"
    package.mkdir(parents=True)
    (package / "module.py").touch()
    return package / "module.py"


def refused(code: Path) -> str:
    with pytest.raises(BangerError) as caught:
        check_code([str(code)])
    assert caught.value.code is Code.DENIED
    assert FLAG in caught.value.hint
    return caught.value.message


def test_what_only_root_can_write_is_trusted(code: Path) -> None:
    check_code([str(code)])


@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_step_that_belongs_to_another_user_is_named(code: Path, step: int) -> None:
    theirs = (code, *code.parents)[step]
    os.chown(theirs, OTHER, 0)
    assert refused(code).endswith(f"{theirs} belongs to uid {OTHER}")


@pytest.mark.parametrize(("mode", "group"), [(0o757, 0), (0o775, OTHER)])
def test_a_step_that_others_can_write_is_named(code: Path, mode: int, group: int) -> None:
    os.chown(code.parent, 0, group)
    code.parent.chmod(mode)
    assert f"{code.parent} can be written by others" in refused(code)


def test_a_sticky_directory_and_roots_own_group_are_no_danger(code: Path) -> None:
    code.parent.chmod(0o1777)
    code.chmod(0o664)
    check_code([str(code)])


def test_a_link_is_followed_to_what_it_means(code: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(code.parent)
    check_code([str(tmp_path / "link" / "module.py")])
    os.chown(code.parent, OTHER, 0)
    assert str(code.parent) in refused(tmp_path / "link" / "module.py")


def test_this_process_names_its_interpreter_and_its_modules() -> None:
    found = set(running_code())
    assert __file__ in found
    assert any("python" in Path(path).name for path in found)
