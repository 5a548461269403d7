"""A saved machine is there as a whole or not at all."""

import os
from pathlib import Path

import pytest

from shared.errors import BangerError, Code
from shared.vm import files
from shared.vm.publish_saved import PREFIX, discard, draft, publish, sweep
from tests.unit.shared.vm.test_saved import published, saved_machine


def test_draft_is_removed_unless_it_was_published(tmp_path: Path) -> None:
    with draft(tmp_path / "snapshots") as work:
        (work / files.MEMORY).write_bytes(b"m")
        assert work.name.startswith(PREFIX)
    assert list((tmp_path / "snapshots").iterdir()) == []
    assert published(tmp_path).is_dir()


@pytest.mark.parametrize("content", ["", "something"])
def test_name_that_is_taken_is_refused_and_what_has_it_stays(tmp_path: Path, content: str) -> None:
    (tmp_path / "s").mkdir()
    if content:
        (tmp_path / "s" / "kept").write_text(content)
    with draft(tmp_path) as work, pytest.raises(BangerError) as caught:
        publish(work, tmp_path / "s", saved_machine(work))
    assert caught.value.code is Code.CONFLICT
    assert len(list((tmp_path / "s").iterdir())) == bool(content)


def test_sweep_removes_drafts_of_the_dead_alone(tmp_path: Path) -> None:
    left = tmp_path / f"{PREFIX}left"
    left.mkdir()
    (left / files.MEMORY).touch()
    with draft(tmp_path) as work:
        assert sweep(tmp_path) == [left]
        assert work.is_dir()
    assert sweep(tmp_path / "absent") == []


def test_discard_takes_it_away_and_may_be_repeated(tmp_path: Path) -> None:
    directory = published(tmp_path)
    discard(directory)
    discard(directory)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_parent_that_cannot_be_written_is_denied(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(BangerError) as caught, draft(tmp_path / "s"):
        pass
    assert caught.value.code is Code.DENIED
