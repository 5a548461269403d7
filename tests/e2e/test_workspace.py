"""Repositories in a real guest: the same bytes there, the same tree back, and nothing else touched.

What is asked of single cases is in the unit tests, where the guest's scripts run on this machine.
"""

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.place import VM, Place
from tests.home import Home
from tests.repositories import NASTY, commit, empty, fingerprint, git, ordinary, write
from tests.repositories.tracked import tracked_files
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

TOGETHER = (
    *("odd_names", "symlinks", "mode_only", "staged_then_edited", "staged_then_reverted"),
    *("intent_to_add", "unstaged_rename", "deleted", "replaced_by_symlink", "lfs_edited"),
    *("symlink_replaced_by_file", "directory_replaced_by_symlink", "tracked_and_ignored"),
    *("autocrlf", "eol_crlf", "working_tree_encoding", "sparse_cone", "submodule_nested"),
    *("conflict", "racy", "shallow", "long_history", "big_file", "detached", "packed"),
)
"""Of the nasty repositories, those that one repository can have as its submodules together."""
HUGE = 100 * 1000 * 1000
"""Bytes of a file from which on it is compared by its sum."""
THEIRS = "git -c user.name=Gus -c user.email=gus@guest.example"


@pytest.fixture(scope="module")
def repository() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bgr") as directory:
        top = ordinary(Path(directory) / "repository")
        write(top, "lines", "".join(f"line {number}\n" for number in range(30)))
        commit(top, "third")
        write(top, "README", "edited, and not committed\n")
        write(top, "untracked", "left out\n")
        yield top


@pytest.fixture(scope="module")
def run(shared_home: Home, repository: Path) -> Iterator[subprocess.CompletedProcess[str]]:
    """``vm run PATH`` of a command that fails; its VM is there for all tests."""
    before = fingerprint(repository)
    words = ("vm", "run", "--name", VM, "--no-bootstrap", str(repository / "src"))
    script = "pwd; cat README; ls; git log --format=%s; git status --porcelain; exit 7"
    done = shared_home.banger(*words, "--", "sh", "-c", script, check=False)
    assert fingerprint(repository) == before
    yield done
    shared_home.banger("vm", "delete", VM)


@pytest.fixture
def place(shared_home: Home, run: object) -> Place:
    return Place(shared_home)


def _clone(top: Path, into: Path) -> Path:
    git(top, "clone", "-q", "--no-local", str(top), str(into))
    return into


# -- in ---------------------------------------------------------------------------------------


def test_run_of_a_path_works_there_and_gives_the_commands_status(
    run: subprocess.CompletedProcess[str],
) -> None:
    assert run.returncode == 7, run.stderr
    log = "third\nsecond\nfirst\n"
    assert run.stdout == (
        f"/root/repo\nedited, and not committed\nREADME\nlines\nsrc\n{log} M README\n"
    )


def test_exec_begins_in_the_workspace(place: Place) -> None:
    assert place.home.banger("vm", "exec", VM, "--", "pwd").stdout == "/root/repo\n"
    assert place.home.banger("vm", "exec", VM, "-w", "/etc", "--", "pwd").stdout == "/etc\n"


def test_exec_runs_through_mise_where_the_guest_has_it(place: Place) -> None:
    """A script plays mise: it says what it was asked, and runs that."""
    mise = 'echo "$@"; while [ "$1" != -- ]; do shift; done; shift; exec "$@"'
    place.inside(f"printf '#!/bin/sh\n%s\n' '{mise}' >/usr/local/bin/mise")
    place.inside("chmod 755 /usr/local/bin/mise; echo node@20 >/root/repo/.git/banger/tools")
    done = place.home.banger("vm", "exec", VM, "--", "sh", "-c", "pwd; exit 5", check=False)
    assert done.returncode == 5
    asked, directory = done.stdout.splitlines()
    assert asked.startswith("exec node@20 -- /run/banger/exec found ")
    assert directory == "/root/repo"
    missing = place.home.banger("vm", "exec", VM, "--", "no-such-program", check=False)
    assert missing.returncode == 127
    place.inside("rm /usr/local/bin/mise /root/repo/.git/banger/tools")


def test_everything_nasty_arrives_byte_for_byte_and_stays_as_it_is_here(
    place: Place, tmp_path: Path
) -> None:
    top = empty(tmp_path / "nasty")
    nasty = dict(NASTY)
    for name in TOGETHER:
        case = nasty[name](top / "cases" / name)
        git(top, "-c", "advice.addEmbeddedRepo=false", "add", str(case.relative_to(top)))
    git(top, "commit", "-q", "-m", "all of them")
    wanted = tracked_files(top)
    huge = {path for path, (_, content) in wanted.items() if len(content) > HUGE}
    before = fingerprint(tmp_path)
    place.prepare(top, "/srv/nasty")
    assert fingerprint(tmp_path) == before
    there = place.files("/srv/nasty")
    assert {path: one for path, one in wanted.items() if path not in huge} == there
    assert huge == {b"cases/big_file/big"}
    size = place.inside("cd /srv/nasty/cases/big_file; tr -d '\\0' <big | wc -c; stat -c %s big")
    assert size.split() == ["0", "105000000"]
    assert place.inside("cd /srv/nasty; git fsck 2>&1; git status --porcelain | wc -l")


def test_two_repositories_are_listed_and_exported_each_by_itself(
    place: Place, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        place.prepare(ordinary(tmp_path / name), f"/srv/{name}")
    place.inside("echo made >/srv/two/made")
    shown = json.loads(place.home.banger("vm", "show", VM, "-o", "json").stdout)
    places = {each["guest_path"]: each["host_path"] for each in shown["workspaces"]}
    assert places["/srv/two"] == str(tmp_path / "two")
    assert {"/root/repo", "/srv/one"} <= set(places)
    for name, found in (("one", False), ("two", True)):
        place.export(f"/srv/{name}", tmp_path / f"{name}.patch")
        assert (b"+made" in (tmp_path / f"{name}.patch").read_bytes()) is found
    unclear = place.home.banger("vm", "workspace", "export", VM, check=False)
    assert unclear.returncode
    assert "/srv/two" in unclear.stderr


def test_refusals_before_anything_is_changed(place: Place, tmp_path: Path) -> None:
    top = ordinary(tmp_path / "top")
    place.inside("mkdir -p /srv/full && touch /srv/full/file")
    assert place.refused(str(top), "--guest-path", "/srv/full")["code"] == "conflict"
    place.inside("mv /usr/bin/git /usr/bin/git.away")
    try:
        assert place.refused(str(top), "--guest-path", "/srv/new")["code"] == "missing_tool"
    finally:
        place.inside("mv /usr/bin/git.away /usr/bin/git")
    assert place.inside("ls -A /srv/full; ls -d /srv/new 2>&1", check=False).startswith("file\n")


def test_full_disk_of_the_guest_is_named_and_leaves_nothing(place: Place, tmp_path: Path) -> None:
    top = ordinary(tmp_path / "top")
    write(top, "random", os.urandom(6_000_000))
    commit(top)
    place.inside("mkdir -p /mnt/small && mount -t tmpfs -o size=5m tmpfs /mnt/small")
    error = place.refused(str(top), "--guest-path", "/mnt/small/repository")
    assert error["code"] == "no_space", error
    assert place.inside("ls -A /mnt/small") == ""
    place.inside("mount -o remount,size=60m /mnt/small")
    place.prepare(top, "/mnt/small/repository")
    assert place.files("/mnt/small/repository") == tracked_files(top)


# -- out --------------------------------------------------------------------------------------


def test_patch_of_commits_edits_and_new_files_makes_the_guests_tree(
    place: Place, tmp_path: Path
) -> None:
    top = ordinary(tmp_path / "top")
    write(top, b"odd \xff\nname", "odd\n")
    commit(top)
    write(top, "README", "edited on the host\n")
    place.prepare(top, "/srv/out")
    place.inside(f"""
        set -e; cd /srv/out
        echo 1 >committed; git add committed; {THEIRS} commit -qm 'Add a file'
        git mv src/main.py main.py; {THEIRS} commit -qam 'Move a file'
        head -c 70000 /dev/urandom >binary; printf 'no newline' >'new file'; ln -s binary link
        chmod +x README; rm src/other.py; mkdir -p deep/er; echo x >deep/er/x
    """)
    asked = place.inside(
        "cd /srv/out; git status --porcelain; git rev-parse HEAD; sha1sum .git/index"
    )
    before = fingerprint(top)
    patch, mbox = tmp_path / "patch", tmp_path / "mbox"
    place.export("/srv/out", patch)
    place.export("/srv/out", mbox, "--format", "commits")
    assert fingerprint(top) == before
    again = place.inside(
        "cd /srv/out; git status --porcelain; git rev-parse HEAD; sha1sum .git/index"
    )
    assert again == asked
    clone = _clone(top, tmp_path / "clone")
    git(clone, "apply", "--index", "--binary", str(patch))
    assert git(clone, "write-tree").decode().strip() == place.tree("/srv/out")
    other = _clone(top, tmp_path / "other")
    git(other, "apply", "--index", "-", stdin=git(top, "diff", "--binary"))
    git(other, "commit", "-q", "-m", "what was not committed here")
    git(other, "am", "-q", "--3way", str(mbox))
    log = git(other, "log", "--format=%an %s", "HEAD~3..").decode().splitlines()
    assert log[-2:] == ["Gus Move a file", "Gus Add a file"]


def test_apply_merges_with_the_hosts_edits_or_touches_nothing(
    place: Place, repository: Path
) -> None:
    text = (repository / "lines").read_text()
    place.inside("cd /root/repo; sed -i 's/^line 3$/guest/' lines; echo new >new")
    write(repository, "lines", text.replace("line 3\n", "host\n"))
    before = fingerprint(repository)
    refused = place.workspace("export", "--guest-path", "/root/repo", "--apply", status=4)
    assert "lines" in refused.stderr
    assert fingerprint(repository) == before
    write(repository, "lines", text.replace("line 25\n", "host\n"))
    write(repository, "new", "in the way, and not tracked\n")
    before = fingerprint(repository)
    refused = place.workspace("export", "--guest-path", "/root/repo", "--apply", status=4)
    assert "new" in refused.stderr
    assert fingerprint(repository) == before
    (repository / "new").unlink()
    place.workspace("export", "--guest-path", "/root/repo", "--apply")
    merged = text.replace("line 25\n", "host\n").replace("line 3\n", "guest\n")
    assert (repository / "lines").read_text() == merged
    assert (repository / "new").read_text() == "new\n"


def test_sync_takes_later_edits_and_never_the_guests(place: Place, tmp_path: Path) -> None:
    top = ordinary(tmp_path / "top")
    here = ("--guest-path", "/srv/sync")
    place.prepare(top, "/srv/sync")
    write(top, "README", "later\n")
    (top / "src/other.py").unlink()
    write(top, "added", "added\n")
    commit(top, "third")
    write(top, "src/main.py", "print('edited')\n", 0o755)
    place.workspace("sync", *here)
    assert place.files("/srv/sync") == tracked_files(top)
    place.inside("echo by the guest >/srv/sync/README")
    write(top, "README", "later still\n")
    assert "README" in place.workspace("sync", *here, status=4).stderr
    assert place.inside("cat /srv/sync/README") == "by the guest"
    place.workspace("sync", *here, "--force")
    assert place.files("/srv/sync") == tracked_files(top)


# -- a guest that means harm ------------------------------------------------------------------

CRAFTED = """
cd {0}; blob=$(echo evil | git hash-object -w --stdin)
entry() {{ printf "$1\\0"; printf "$blob" | perl -ne 'print pack "H*", $_'; }}
tree=$(entry '100644 ../outside' | git hash-object -t tree --literally -w --stdin)
commit=$({1} commit-tree -p HEAD -m crafted "$tree")
git update-ref --no-deref HEAD "$commit"
echo "$tree"
"""
"""A commit whose tree has a path that leads out; prints that tree."""
LIARS = {
    "garbage": "head -c 300000 /dev/urandom",
    "fails": "echo '\033[31mpwned' >&2; exit 3",
    "silent": ":",
}


@contextmanager
def _false_git(place: Place, script: str) -> Iterator[None]:
    """In the guest, for as long as the context lasts."""
    place.inside(
        "mv /usr/bin/git /usr/bin/git.true; cat >/usr/bin/git <<'END'\n"
        f"#!/bin/sh\n{script}\nEND\nchmod +x /usr/bin/git"
    )
    try:
        yield
    finally:
        place.inside("mv /usr/bin/git.true /usr/bin/git")


def _refused(place: Place, *words: str) -> None:
    done = place.home.banger("vm", "workspace", *words, check=False, timeout=60)
    assert done.returncode, (words, done.stderr)
    assert done.stderr.count("error: ") == 1, (words, done.stderr)
    assert "Traceback" not in done.stderr
    assert "\x1b[31mpwned" not in done.stderr
    assert len(done.stderr) < 20_000


def test_tree_that_leads_out_is_refused_and_written_nowhere(place: Place, tmp_path: Path) -> None:
    top = ordinary(tmp_path / "top" / "deep")
    place.prepare(top, "/srv/crafted")
    tree = place.inside(CRAFTED.format("/srv/crafted", THEIRS))
    export = ("export", VM, "--guest-path", "/srv/crafted")
    before = fingerprint(tmp_path)
    for words in (("--apply",), ("-o", str(tmp_path / "mbox"))):
        _refused(place, *export, *words, "--format", "commits")
    lie = f'case "$*" in *write-tree*) echo {tree} ;; *) exec /usr/bin/git.true "$@" ;; esac'
    with _false_git(place, lie):
        for words in (("--apply",), ("-o", str(tmp_path / "patch"))):
            _refused(place, *export, *words)
    assert fingerprint(tmp_path) == before


def test_false_git_in_the_guest_costs_one_error(place: Place, tmp_path: Path) -> None:
    top = ordinary(tmp_path / "top")
    place.prepare(top, "/srv/lied")
    before = fingerprint(tmp_path)
    here = ("--guest-path", "/srv/lied")
    for script in LIARS.values():
        with _false_git(place, script):
            _refused(place, "status", VM, *here)
            _refused(place, "export", VM, *here, "--apply")
    assert fingerprint(tmp_path) == before


def test_git_that_never_ends_is_ended_by_ctrl_c(place: Place, tmp_path: Path) -> None:
    place.prepare(ordinary(tmp_path / "top"), "/srv/endless")
    here = ("--guest-path", "/srv/endless")
    with _false_git(place, "exec yes"):
        status = place.home.start("vm", "workspace", "status", VM, *here)
        eventually(lambda: place.inside("pidof yes", check=False), patience=60)
        status.send_signal(signal.SIGINT)
        status.communicate(timeout=30)
        assert status.returncode == 130
        eventually(lambda: not place.inside("pidof yes", check=False), patience=30)
    place.workspace("status", *here)


def test_hundred_thousand_refs_of_the_guest_are_no_matter(place: Place, tmp_path: Path) -> None:
    top = ordinary(tmp_path / "top")
    place.prepare(top, "/srv/refs")
    place.inside(
        "cd /srv/refs; head=$(git rev-parse HEAD); "
        'seq -f "$head refs/tags/flood-%.0f" 100000 | sort >>.git/packed-refs; echo x >made'
    )
    place.export("/srv/refs", tmp_path / "patch")
    assert b"+x" in (tmp_path / "patch").read_bytes()


# -- the guest goes, and one-liners -----------------------------------------------------------


def test_guest_that_is_killed_in_the_middle_takes_the_next_prepare(
    place: Place, tmp_path: Path
) -> None:
    top = ordinary(tmp_path / "top")
    write(top, "random", os.urandom(30_000_000))
    commit(top)
    place.inside("sync")
    argv = ("vm", "workspace", "prepare", VM, str(top), "--guest-path", "/srv/killed")
    preparing = place.home.start(*argv, "--no-bootstrap")
    eventually(lambda: place.inside("ls -d /srv/.killed.* 2>/dev/null", check=False), patience=60)
    killed = time.monotonic()
    place.home.banger("vm", "kill", VM)
    _, words = preparing.communicate(timeout=30)
    assert time.monotonic() - killed < 20
    assert preparing.returncode not in (0, None)
    assert words.decode().count("error: ") == 1, words
    transfers = place.home.paths.state / "transfers"
    eventually(lambda: not list(transfers.glob("*")))
    place.home.banger("vm", "start", VM)
    place.prepare(top, "/srv/killed")
    assert place.files("/srv/killed") == tracked_files(top)
    assert place.inside("ls -A /srv | grep banger", check=False) == ""


def test_one_line_brings_the_changes_back_though_the_command_failed(
    shared_home: Home, run: object, tmp_path: Path
) -> None:
    top = ordinary(tmp_path / "top")
    patch = tmp_path / "patch"
    words = ("vm", "run", str(top), "--rm", "--no-bootstrap", "--export", str(patch), "--apply")
    done = shared_home.banger(*words, "--", "sh", "-c", "echo made >made; exit 5", check=False)
    assert done.returncode == 5, done.stderr
    assert b"+made" in patch.read_bytes()
    assert (top / "made").read_text() == "made\n"
    assert shared_home.banger("vm", "list", "-o", "name").stdout.split() == [VM]
