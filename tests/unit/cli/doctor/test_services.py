"""What can be seen without services: images on the disk, and whether the DNS port is free."""

import os
import socket
import sys
from pathlib import Path

import pytest

from cli.doctor.services import external_nat, is_free, published
from shared.version import __version__


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_port_that_another_program_has_is_not_free(kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            taken.listen()
        assert not is_free(taken.getsockname()[1])


def test_a_published_default_passes_with_its_id(tmp_path: Path) -> None:
    directory = tmp_path / "by-name" / "debian-bookworm"
    directory.mkdir(parents=True)
    (directory / "manifest.json").write_text('{"id": "abc"}')
    result = published("image", tmp_path, "debian-bookworm", "banger image build")
    assert (result.status, result.found) == ("PASS", "debian-bookworm (abc)")


def test_a_default_that_is_not_there_warns_and_says_how_to_get_it(tmp_path: Path) -> None:
    result = published("kernel", tmp_path, "debian-bookworm", "banger kernel pull")
    assert (result.status, result.hint) == ("WARN", "banger kernel pull debian-bookworm")


def test_a_manifest_that_cannot_be_read_fails(tmp_path: Path) -> None:
    directory = tmp_path / "by-name" / "x"
    directory.mkdir(parents=True)
    (directory / "manifest.json").write_text("{")
    assert published("image", tmp_path, "x", "banger image build").status == "FAIL"


@pytest.mark.parametrize(
    ("build", "status"), [(None, "FAIL"), ("0.0.0", "WARN"), (__version__, "PASS")]
)
def test_a_nat_that_root_is_to_run_is_told_with_what_to_run(build: str | None, status: str) -> None:
    result = external_nat(build, Path("/somewhere/run"))
    assert result.status == status
    nat = "-I -m banger services.nat"
    command = f"{sys.executable} {nat} --user {os.geteuid()} --run /somewhere/run"
    assert (command in result.hint) == (status != "PASS")


def test_the_usual_run_directory_needs_no_words() -> None:
    usual = Path(f"/run/user/{os.geteuid()}/banger")
    assert "--run" not in external_nat(None, usual).hint
