"""``vm cp``, with scp and the guest played by cp(1) and this machine."""

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Cli, view
from tests.unit.cli.peer import Peer

Begin = Callable[..., Peer]

# The last two words are what is copied and where to; the guest's are "root@host:PATH", with a
# backslash before what scp would take for a pattern.
SCRIPTED_SCP = r"""#!/bin/sh
plain() { printf '%s' "${1#root@*:}" | sed 's/\\\(.\)/\1/g'; }
while [ $# -gt 2 ]; do shift; done
exec cp -rpL -- "$(plain "$1")" "$(plain "$2")"
"""


@pytest.fixture
def guest(cli: Cli, peer: Begin) -> Path:
    """A directory of the guest."""
    peer({"vm.access": lambda _: view("web")})
    program = cli.root / "bin/scp"
    program.write_text(SCRIPTED_SCP)
    program.chmod(0o755)
    directory = cli.root / "guest"
    directory.mkdir()
    return directory


def test_a_file_goes_in_and_comes_out_with_its_mode(cli: Cli, guest: Path) -> None:
    script = cli.root / "run me[1].sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o750)
    assert cli("vm", "cp", script.name, f"web:{guest}").status == 0
    assert (guest / script.name).stat().st_mode & 0o777 == 0o750
    assert cli("vm", "cp", f"web:{guest}/{script.name}", "back").status == 0
    assert (cli.root / "back").read_text() == "#!/bin/sh\n"


def test_a_directory_goes_with_all_that_is_in_it(cli: Cli, guest: Path) -> None:
    below = cli.root / "tree/a/b"
    below.mkdir(parents=True)
    (below / "c").write_text("deep")
    (cli.root / "tree/link").symlink_to("a/b/c")
    assert cli("vm", "cp", "tree", f"web:{guest}/new").status == 0
    assert (guest / "new/a/b/c").read_text() == (guest / "new/link").read_text() == "deep"
    assert cli("vm", "cp", f"web:{guest}/new", ".").status == 0
    assert (cli.root / "new/a/b/c").read_text() == "deep"


def test_json_says_what_was_copied(cli: Cli, guest: Path) -> None:
    (cli.root / "f").write_text("")
    ran = cli("vm", "cp", "f", f"web:{guest}", "-o", "json")
    assert ran.out == f'{{"source": "f", "target": "web:{guest}"}}\n'


@pytest.mark.parametrize("source", ["nope", "web:/nope"])
def test_a_source_that_is_not_there_gives_3(cli: Cli, guest: Path, source: str) -> None:
    ran = cli("vm", "cp", source, "out" if source.startswith("web:") else f"web:{guest}")
    assert ran.status == 3
    assert "nope" in ran.err


def test_a_directory_that_is_not_there_gives_3(cli: Cli, guest: Path) -> None:
    (cli.root / "tree").mkdir()
    assert cli("vm", "cp", "tree", f"web:{guest}/no/such").status == 3


def test_what_scp_says_is_passed_on_whole_with_what_to_do(cli: Cli, guest: Path) -> None:
    (cli.root / "bin/scp").write_text(
        "#!/bin/sh\necho 'scp: a: not a regular file' >&2; echo 'scp: b: too bad' >&2; exit 1\n"
    )
    (cli.root / "tree").mkdir()
    ran = cli("vm", "cp", "tree", f"web:{guest}")
    assert ran.status == 2
    assert ran.err.startswith("error: a: not a regular file; b: too bad\nhint: ")


def test_one_dangling_link_or_socket_does_not_keep_the_rest_from_being_copied(
    cli: Cli, guest: Path
) -> None:
    tree = cli.root / "tree"
    tree.mkdir()
    (tree / "fine").write_text("fine")
    (tree / "dangling").symlink_to("nowhere")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tree / "socket"))
    ran = cli("vm", "cp", "tree", f"web:{guest}")
    assert ran.status == 3
    assert "dangling" in ran.err
    assert (guest / "tree/fine").read_text() == "fine"


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_special_files_are_refused_before_anything_is_copied(
    cli: Cli, guest: Path, kind: str
) -> None:
    tree = cli.root / "tree"
    tree.mkdir()
    (tree / "fine").write_text("")
    if kind == "pipe":
        os.mkfifo(tree / "special")
    else:
        (tree / "special").symlink_to("/dev/null")
    ran = cli("vm", "cp", "tree", f"web:{guest}")
    assert ran.status == 2
    assert "special is neither a file nor a directory" in ran.err
    assert list(guest.iterdir()) == []


def test_what_cannot_fit_is_refused_before_anything_is_copied(cli: Cli, guest: Path) -> None:
    with (cli.root / "huge").open("wb") as huge:
        huge.truncate(shutil.disk_usage(guest).free + (1 << 30))
    ran = cli("vm", "cp", "huge", f"web:{guest}", "-o", "json")
    assert ran.status == 1
    assert '"code": "no_space"' in ran.err
    assert list(guest.iterdir()) == []
