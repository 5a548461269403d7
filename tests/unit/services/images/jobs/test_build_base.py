from pathlib import Path

import pytest

from services.images.jobs.build_base import run
from shared.contract.messages.build import BuildBase
from shared.contract.messages.image_work import ImageFileBuild
from shared.errors import BangerError, Code
from tests.unit.services.images.jobs.builds import JOB, request


def test_a_dockerfile_has_its_base_in_from(tmp_path: Path) -> None:
    asked = request(tmp_path, "ARG v=1\nFROM alpine:$v", arguments={"v": "3.20"})
    assert run(asked, JOB) == BuildBase(reference="alpine:3.20")


def test_a_toml_file_has_a_name_too(tmp_path: Path) -> None:
    asked = request(tmp_path, 'base = "debian-bookworm"\nname = "web"', "toml")
    assert run(asked, JOB) == BuildBase(reference="debian-bookworm", name="web")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    asked = ImageFileBuild(file=str(tmp_path / "x"), syntax="toml", context=str(tmp_path))
    with pytest.raises(BangerError) as caught:
        run(asked, JOB)
    assert caught.value.code is Code.NOT_FOUND


@pytest.mark.parametrize(
    ("content", "problem"), [(b"FROM a\nRUN \xff", "Dockerfile:2: it is not UTF-8"),
                             (b"#" * (1 << 21), "longer than 1024 KiB")],
)  # fmt: skip
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    asked = request(tmp_path, "")
    Path(asked.file).write_bytes(content)
    with pytest.raises(BangerError, match=problem):
        run(asked, JOB)
