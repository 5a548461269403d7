"""What can be seen without services: images on the disk, and whether the DNS port is free."""

import socket
from pathlib import Path

import pytest

from cli.checks.services import is_free, published


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
