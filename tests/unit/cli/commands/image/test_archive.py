"""``banger image export`` and ``import``: files, pipes, and nothing half-written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.errors import BangerError, Code
from tests.unit.cli.commands.test_library import LIBRARY
from tests.unit.cli.conftest import Cli
from tests.unit.cli.peer import Peer

Begin = Callable[..., Peer]


def write(body: dict[str, Any]) -> dict[str, Any]:
    Path(body["output"]).write_bytes(b"archive")
    return {"id": "1" * 16, "name": body["ref"], "size": 7}


@pytest.fixture
def services(peer: Begin) -> Peer:
    return peer({"image.export": write})


@pytest.mark.usefixtures("services")
def test_the_file_appears_when_it_is_whole(cli: Cli) -> None:
    ran = cli("image", "export", "py", "py.tar.zst")
    assert (ran.status, ran.out, ran.err) == (0, "", "Exported py: 7B.\n")
    assert (cli.root / "py.tar.zst").read_bytes() == b"archive"


@pytest.mark.usefixtures("services")
def test_a_dash_is_standard_output(cli: Cli) -> None:
    assert cli("image", "export", "py", "-").out == "archive"
    assert cli.on_terminal(["image", "export", "py", "-"], []).status == 2


def test_of_a_failed_export_nothing_stays(cli: Cli, peer: Begin) -> None:
    def fail(body: dict[str, Any]) -> dict[str, Any]:
        Path(body["output"]).write_bytes(b"half")
        raise BangerError(Code.NO_SPACE, "the disk is full")

    peer({"image.export": fail})
    before = {path.name for path in cli.root.iterdir()}
    assert cli("image", "export", "py", "py.tar.zst").status == 1
    assert {path.name for path in cli.root.iterdir()} == before


def test_an_archive_is_read_by_its_path_or_from_a_pipe(cli: Cli, peer: Begin) -> None:
    read: list[bytes] = []

    def take(body: dict[str, Any]) -> dict[str, Any]:
        read.append(Path(body["file"]).read_bytes())
        return LIBRARY["image"]

    services = peer({"image.import": take})
    (cli.root / "a.tar").write_bytes(b"of a file")
    assert cli("image", "import", "a.tar", "--name", "x", "-q").out == "1" * 16 + "\n"
    process = cli.popen("image", "import", "-", stdin=-1, stdout=-1)
    process.communicate(b"of a pipe", timeout=50)
    assert process.returncode == 0
    assert read == [b"of a file", b"of a pipe"]
    assert services.calls[0][1] == {"file": f"{cli.root}/a.tar", "name": "x"}


def test_a_terminal_is_no_archive(cli: Cli) -> None:
    ran = cli.on_terminal(["image", "import", "-"], [])
    assert ran.status == 2
    assert "neither a pipe nor a file" in ran.out
    assert cli("image", "import", "nothing.tar").status == 2
