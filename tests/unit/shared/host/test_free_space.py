"""Space is asked for before work begins."""

from pathlib import Path

import pytest

from shared.errors import BangerError, Code
from shared.host.free_space import RESERVE, free_bytes, require_space


def test_a_directory_that_is_not_there_yet_is_on_the_disk_of_its_parent(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "a" / "b") > 0
    require_space(tmp_path / "a" / "b", 1, "the image x")


def test_what_does_not_fit_says_what_it_needs_and_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(BangerError) as raised:
        require_space(tmp_path, 1 << 62, "the image x")
    error = raised.value
    assert error.code is Code.NO_SPACE
    assert "the image x needs 4398046511168 MiB" in error.message
    assert "MiB is free" in error.message
    assert error.details["needed"] == (1 << 62) + RESERVE
    assert "banger system df" in error.hint


def test_a_hint_of_the_caller_comes_first(tmp_path: Path) -> None:
    with pytest.raises(BangerError) as raised:
        require_space(tmp_path, 1 << 62, "the build", hint="set TMPDIR")
    assert raised.value.hint == "set TMPDIR"
