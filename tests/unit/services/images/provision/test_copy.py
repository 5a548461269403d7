import io
import stat
import tarfile
from pathlib import Path

import pytest

from services.images.building.context_files import BuildContext
from services.images.provision.commands import GuestCommands
from services.images.provision.copy import copy, owner_of, tar_members
from shared.contract.messages.build import BuildStep
from shared.errors import BangerError, Code
from tests.scripted.local_guest import LocalGuest


@pytest.fixture
def top(tmp_path: Path) -> Path:
    directory = tmp_path / "context"
    (directory / "site/deep").mkdir(parents=True)
    (directory / "tool").write_text("#!/bin/sh\n")
    (directory / "tool").chmod(0o750)
    (directory / "site/index.html").write_text("hello")
    (directory / "site/link").symlink_to("index.html")
    (directory / "site" / ("long" * 50)).write_text("x" * 1000)
    return directory


def step(sources: list[str], destination: Path, end: str = "", mode: str = "") -> BuildStep:
    return BuildStep(
        kind="copy", line=1, text="", sources=sources, destination=f"{destination}{end}", mode=mode
    )


def test_a_directory_goes_into_one_that_is_made(
    top: Path, local: LocalGuest, commands: GuestCommands
) -> None:
    copy(commands, step(["site"], local.path("srv/www")), BuildContext(top))
    made = local.path("srv/www")
    assert (made / "index.html").read_text() == "hello"
    assert (made / "link").readlink() == Path("index.html")
    assert (made / ("long" * 50)).read_text() == "x" * 1000
    assert (made / "deep").is_dir()


@pytest.mark.parametrize(
    ("end", "exists", "place"),
    [("", False, "bin"), ("/", False, "bin/tool"), ("", True, "bin/tool")],
)
def test_one_file_becomes_the_destination_unless_that_is_a_directory(
    top: Path, local: LocalGuest, commands: GuestCommands, end: str, exists: bool, place: str
) -> None:
    if exists:
        local.path("bin").mkdir()
    copy(commands, step(["tool"], local.path("bin"), end, mode="0711"), BuildContext(top))
    made = local.path(place)
    assert made.read_text() == "#!/bin/sh\n"
    assert stat.S_IMODE(made.stat().st_mode) == 0o711


def test_members_belong_to_root_or_to_the_owner_that_was_named(top: Path) -> None:
    def members(owner: tuple[int, int]) -> list[tarfile.TarInfo]:
        files = BuildContext(top).copied(["."], "/").files
        archive = io.BytesIO(b"".join(tar_members(files, owner, 0, "")))
        with tarfile.open(fileobj=archive) as read:
            return list(read)

    assert {(each.uid, each.gid) for each in members((0, 0))} == {(0, 0)}
    assert {(each.uid, each.gid) for each in members((70, 71))} == {(70, 71)}
    assert {each.name: each.mode for each in members((0, 0))}["tool"] == 0o750


@pytest.mark.parametrize(
    ("owner", "numbers"),
    [("", (0, 0)), ("7", (7, 7)), ("7:8", (7, 8)), ("root", (0, 0)), ("root:root", (0, 0))],
)
def test_owners(commands: GuestCommands, owner: str, numbers: tuple[int, int]) -> None:
    assert owner_of(commands, owner) == numbers


@pytest.mark.parametrize("owner", ["no-such-user", "0:no-such-group", "99999999999"])
def test_an_owner_that_the_image_does_not_have_is_told(commands: GuestCommands, owner: str) -> None:
    with pytest.raises(BangerError, match="the image has no user or group") as caught:
        owner_of(commands, owner)
    assert caught.value.code is Code.NOT_FOUND


def test_a_destination_that_cannot_be_is_told(
    top: Path, local: LocalGuest, commands: GuestCommands
) -> None:
    local.path("file").write_text("in the way")
    with pytest.raises(BangerError, match="ended with status"):
        copy(commands, step(["site"], local.path("file/x")), BuildContext(top))
