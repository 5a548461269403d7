"""One run of mmdebstrap: what it is asked, what is reported, and what is said when it fails."""

import asyncio
from pathlib import Path

import pytest

from services.images.pipeline import Program
from services.images.sources.debian.mmdebstrap import bootstrap
from services.images.sources.debian.progress import BuildProgress
from shared.errors import BangerError, Code
from tests.unit.services.images.sources.debian.machine import BuildMachine, Reports


def run(target: Path, *, mirror: str = "http://mirror.test", mib: int = 0) -> Reports:
    reports = Reports()
    asyncio.run(
        bootstrap(
            "image debian",
            ["--variant=minbase"],
            "bookworm",
            Program(["dd", "status=none", f"of={target}"]),
            mirror=mirror,
            needed_mib=mib,
            counter=BuildProgress(runs=2, touches=3, end=0.9),
            progress=reports,
        )
    )
    return reports


def refusal(target: Path, **changes: object) -> BangerError:
    with pytest.raises(BangerError) as raised:
        run(target, **changes)  # type: ignore[arg-type]
    return raised.value


def test_its_stream_reaches_the_other_program(machine: BuildMachine, tmp_path: Path) -> None:
    machine.answers({"etc/hostname": b"debian"}, said="I: creating tarball...\n")
    reports = run(tmp_path / "tar")
    assert b"etc/hostname" in (tmp_path / "tar").read_bytes()
    assert machine.asked[-3:] == ["bookworm", "-", "http://mirror.test"]
    assert {"--variant=minbase", "--architectures=amd64"} <= set(machine.asked)
    assert reports == [("squash", "packing the file system")]
    assert list(machine.area.iterdir()) == []


def test_a_failure_is_said_in_our_words_and_leaves_nothing(
    machine: BuildMachine, tmp_path: Path
) -> None:
    machine.answers({}, said="E: Unable to locate package nosuch\n", status=25)
    error = refusal(tmp_path / "tar")
    assert error.code is Code.NOT_FOUND
    assert "nosuch" in error.message
    assert list(machine.area.iterdir()) == []


def test_without_space_it_does_not_begin(machine: BuildMachine, tmp_path: Path) -> None:
    error = refusal(tmp_path / "tar", mib=1 << 40)
    assert error.code is Code.NO_SPACE
    assert str(machine.area) in error.message


def test_a_work_area_that_is_not_there_is_refused(
    machine: BuildMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    assert refusal(tmp_path / "tar").code is Code.DENIED


def test_a_mirror_that_would_be_an_option_is_refused(machine: BuildMachine, tmp_path: Path) -> None:
    assert refusal(tmp_path / "tar", mirror="--help").code is Code.INVALID
