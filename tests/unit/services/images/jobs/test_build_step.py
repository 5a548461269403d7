import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.images.jobs.build_step import run
from services.images.provision import copy
from shared.contract.messages.build import BuildRun, BuildStep
from shared.contract.messages.workspace import Target
from shared.errors import BangerError
from tests.scripted.local_guest import LocalGuest, local_guest


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalGuest]:
    (tmp_path / "vm").mkdir()
    (tmp_path / "context").mkdir()
    monkeypatch.setattr(copy, "BUSYBOX", shutil.which("busybox"))
    with local_guest(tmp_path / "vm", monkeypatch) as made:
        yield made


def do(local: LocalGuest, tmp_path: Path, step: BuildStep) -> list[str]:
    target = Target(vm_id="0123456789ab", vm_name="build", access=local.access)
    run(BuildRun(target=target, step=step, context=str(tmp_path / "context")), local.context())
    return [words[1] for words in local.said]


def test_a_command_of_the_shell_says_all_in_one_stream(local: LocalGuest, tmp_path: Path) -> None:
    argv = ["/bin/sh", "-c", 'echo "$A" >&2; pwd']
    step = BuildStep(kind="run", line=2, text="RUN", argv=argv, env={"A": "one"}, workdir="/usr")
    assert do(local, tmp_path, step)[0] == "one"  # the next is dropped: it comes too soon


def test_a_command_without_the_shell_is_exactly_its_words(
    local: LocalGuest, tmp_path: Path
) -> None:
    step = BuildStep(kind="run", line=2, text="RUN", argv=["printf", "%s|", "a b", "$c"])
    assert do(local, tmp_path, step) == ["a b|$c|"]


def test_a_failure_names_the_line(local: LocalGuest, tmp_path: Path) -> None:
    step = BuildStep(kind="run", line=7, text="RUN false", argv=["false"])
    with pytest.raises(BangerError, match=r"^line 7, RUN false ended with status 1"):
        do(local, tmp_path, step)


def test_directories_and_copies_are_made(local: LocalGuest, tmp_path: Path) -> None:
    (tmp_path / "context/a").write_text("content")
    place = str(local.path("srv"))
    do(local, tmp_path, BuildStep(kind="directory", line=1, text="", destination=place))
    copied = BuildStep(kind="copy", line=2, text="", sources=["a"], destination=place)
    do(local, tmp_path, copied)
    assert (local.path("srv") / "a").read_text() == "content"
