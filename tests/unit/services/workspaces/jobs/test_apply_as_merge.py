"""A property: whatever the two sides have done, an apply is what git-merge(1) makes of it, and
where that has conflicts, nothing."""

import shutil
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shared.errors import BangerError, Code
from tests.repositories import empty, git, write
from tests.repositories.tracked import TrackedFile, files_below
from tests.scripted.local_guest import LocalGuest
from tests.workspaces import place

NAMES = ("a", "b", "d/a", "d/b", "e/f/a", "\xff \n")
"""Few, so that the sides meet."""

Tree = dict[str, str]
lines = st.lists(st.sampled_from("abcdefgh"), min_size=0, max_size=9)
contents = lines.map(lambda found: "".join(f"line {letter}\n" for letter in found))
trees = st.dictionaries(st.sampled_from(NAMES), contents, max_size=5)
edits = st.lists(
    st.tuples(
        st.sampled_from(("write", "append", "prepend", "delete", "move", "chmod", "link")),
        st.sampled_from(NAMES),
        st.sampled_from(NAMES),
        contents,
    ),
    max_size=5,
)
Edit = tuple[str, str, str, str]


def edit(top: Path, edit: Edit) -> None:
    """Do it if it can be done."""
    how, name, other, content = edit
    file = top / name
    there = file.is_file() and not file.is_symlink()
    match how:
        case "write" if not file.is_dir() and not file.is_symlink():
            write(top, name, content)
        case "append" if there:
            file.write_text(file.read_text() + content)
        case "prepend" if there:
            file.write_text(content + file.read_text())
        case "delete" if file.is_file() or file.is_symlink():
            file.unlink()
        case "move" if there and not (top / other).exists():
            (top / other).parent.mkdir(parents=True, exist_ok=True)
            file.rename(top / other)
        case "chmod" if there:
            file.chmod(0o755)
        case "link" if there:
            file.unlink()
            file.symlink_to(other)


def git_merge(top: Path, placed: str, host: Path, guest: Path) -> dict[bytes, TrackedFile] | None:
    """What ``git merge`` makes of the two work trees, from the tree ``placed`` of the repository
    ``host``; None for conflicts."""
    empty(top)
    git(top, "fetch", "-q", "--no-tags", str(host), placed)
    commits = []
    for files in (host, guest):
        (top / ".git/index").unlink(missing_ok=True)
        git(top, "--work-tree", str(files), "add", "-A")
        tree = git(top, "write-tree").decode().strip()
        made = git(top, "commit-tree", tree, "-p", placed, "-m", files.name)
        commits.append(made.decode().strip())
    (top / ".git/index").unlink(missing_ok=True)
    git(top, "reset", "-q", "--hard", commits[0])
    git(top, "merge", "-q", "-m", "merged", commits[1], check=False)
    return None if git(top, "ls-files", "-u") else files_below(top)


@given(placed=trees, host_edits=edits, guest_edits=edits)
@settings(
    max_examples=8,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_an_apply_is_a_merge_or_nothing(
    tmp_path: Path,
    local: LocalGuest,
    placed: Tree,
    host_edits: list[Edit],
    guest_edits: list[Edit],
) -> None:
    host, scratch = tmp_path / "host", tmp_path / "scratch"
    for old in (host, scratch, local.path(), local.state):
        shutil.rmtree(old, ignore_errors=True)
    local.state.mkdir()
    empty(host)
    for name, content in placed.items():
        write(host, name, content)
    git(host, "add", "-A")
    git(host, "commit", "-q", "--allow-empty", "-m", "first")
    workspace = place(host, local)
    for each in host_edits:
        edit(host, each)
    for each in guest_edits:
        edit(workspace.guest, each)
    git(host, "add", "-A")
    before = files_below(host)
    expected = git_merge(scratch, workspace.base, host, workspace.guest)
    try:
        workspace.apply()
    except BangerError as refusal:
        expected = before if expected is None and refusal.code is Code.CONFLICT else expected
    assert files_below(host) == expected
