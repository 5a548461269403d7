"""Where a copy lands, as a table of source and destination, held against cp(1) with -a."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.guest.transfer.local_target import local_target
from cli.guest.transfer.local_tree import LocalSource
from cli.guest.transfer.plan import (
    CopyTarget,
    Landing,
    SourceKind,
    TargetKind,
    Way,
    check_path_given,
    land,
)
from shared.errors import BangerError, Code

F, L, D, C = SourceKind.FILE, SourceKind.LINK, SourceKind.DIRECTORY, SourceKind.CONTENTS
DIR, FILE, SPECIAL = TargetKind.DIRECTORY, TargetKind.FILE, TargetKind.SPECIAL
DANGLING, ABSENT = TargetKind.DANGLING, TargetKind.ABSENT

LANDS = [
    # source, destination, what is there → way, name
    (F, "to", DIR, Way.INTO, "src"),
    (L, "to", DIR, Way.INTO, "src"),
    (D, "to", DIR, Way.INTO, "src"),
    (C, "to", DIR, Way.INTO, ""),
    (F, "to", FILE, Way.AS, ""),
    (L, "to", FILE, Way.AS, ""),
    (F, "to", SPECIAL, Way.WRITE, ""),
    (F, "to", ABSENT, Way.AS, ""),
    (L, "to", ABSENT, Way.AS, ""),
    (D, "to", ABSENT, Way.AS, ""),
    (D, "to/", ABSENT, Way.AS, ""),
    (C, "to/", ABSENT, Way.AS, ""),
]
REFUSED = [
    (D, "to", FILE, "ENOTDIR"),
    (C, "to", FILE, "ENOTDIR"),
    (F, "to/", FILE, "ENOTDIR"),
    (D, "to", SPECIAL, "ENOTDIR"),
    (L, "to", SPECIAL, "EEXIST"),
    (F, "to/", ABSENT, "ENOENT"),
    (F, "to", DANGLING, "EEXIST"),
    (D, "to", DANGLING, "EEXIST"),
]


@pytest.mark.parametrize(("kind", "path", "there", "way", "name"), LANDS)
def test_a_source_lands(
    kind: SourceKind, path: str, there: TargetKind, way: Way, name: str
) -> None:
    assert land(kind, "src", CopyTarget(path, there)) == Landing(way, name)


@pytest.mark.parametrize(("kind", "path", "there", "errno"), REFUSED)
def test_a_source_that_does_not_fit_is_refused(
    kind: SourceKind, path: str, there: TargetKind, errno: str
) -> None:
    with pytest.raises(BangerError) as caught:
        land(kind, "src", CopyTarget(path, there))
    assert caught.value.details == {"errno": errno}


@pytest.mark.parametrize(
    ("kind", "inside", "errno"), [(D, FILE, "ENOTDIR"), (F, DIR, "EISDIR"), (L, DIR, "EISDIR")]
)
def test_a_directory_never_replaces_a_file_nor_a_file_a_directory(
    kind: SourceKind, inside: TargetKind, errno: str
) -> None:
    with pytest.raises(BangerError) as caught:
        land(kind, "src", CopyTarget("to", DIR, inside={"src": inside}))
    assert caught.value.details == {"errno": errno}
    assert caught.value.message.startswith("to/src")


@pytest.mark.parametrize("there", [ABSENT, FILE, SPECIAL])
def test_several_sources_need_a_directory(there: TargetKind) -> None:
    with pytest.raises(BangerError):
        land(F, "src", CopyTarget("to", there), several=True)
    assert land(F, "src", CopyTarget("to", DIR), several=True) == Landing(Way.INTO, "src")


@pytest.mark.parametrize(("parent", "code"), [(ABSENT, Code.NOT_FOUND), (FILE, Code.CONFLICT)])
def test_the_directory_of_a_new_name_has_to_be_there(parent: TargetKind, code: Code) -> None:
    with pytest.raises(BangerError) as caught:
        land(D, "src", CopyTarget("no/such", ABSENT, parent))
    assert caught.value.code == code


def test_a_source_says_what_to_copy() -> None:
    check_path_given("web:", ".")
    with pytest.raises(BangerError) as caught:
        check_path_given("web:", "")
    assert caught.value.code == Code.USAGE


def _scene(root: Path) -> None:
    (root / "from/src").mkdir(parents=True)
    (root / "from/src/f").write_text("f")
    (root / "from/one").write_text("one")
    (root / "from/link").symlink_to("src")
    (root / "from/dangling").symlink_to("nowhere")
    (root / "full/src").mkdir(parents=True)
    (root / "full/one.d/one").mkdir(parents=True)
    (root / "clash").mkdir()
    (root / "clash/src").write_text("")
    (root / "clash/link").mkdir()
    (root / "file").write_text("file")
    (root / "link").symlink_to("full")
    (root / "to-file").symlink_to("file")
    (root / "dangling").symlink_to("nowhere")


@pytest.mark.parametrize("source", ["src", "src/", "src/.", "one", "link", "link/", "dangling"])
@pytest.mark.parametrize(
    "target",
    ["full", "link", "file", "to-file", "new", "new/", "no/such", "file/x", "clash", "full/one.d",
     "dangling"],
)  # fmt: skip
def test_the_rules_are_those_of_cp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, target: str
) -> None:
    _scene(tmp_path)
    monkeypatch.chdir(tmp_path)
    meant = _outcome(lambda: _planned(f"from/{source}", target))
    command = ["cp", "-a", f"from/{source}", target]
    done = subprocess.run(command, capture_output=True, check=False)
    assert (meant is not None) == (done.returncode == 0), done.stderr
    if meant is not None:
        assert Path(meant).exists() or Path(meant).is_symlink()


def _outcome(run: Callable[[], str]) -> str | None:
    try:
        return run()
    except BangerError:
        return None


def _planned(source: str, target: str) -> str:
    found = LocalSource(source, follow=False)
    landing = land(found.kind, found.name, local_target(target, found.name))
    return f"{target}/{landing.name}" if landing.way is Way.INTO else target.rstrip("/")
