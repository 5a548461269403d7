"""The guest's script, run by the shells that guests have, with this machine's git."""

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from services.workspaces.guest.snapshot import SNAPSHOT, Sent, snapshot_arguments
from tests.repositories import commit, empty, fingerprint, git, ordinary, write
from tests.repositories.making import environment
from tests.scripted.local_guest import BUSYBOX, DASH
from tests.waiting import eventually

Answer = dict[str, str]


@pytest.fixture(params=[BUSYBOX, DASH], ids=["busybox", "dash"])
def shell(request: pytest.FixtureRequest) -> Sequence[str]:
    found: Sequence[str] = request.param
    return found


@pytest.fixture
def guest(tmp_path: Path) -> Path:
    """A repository whose files are as they were placed."""
    top = ordinary(tmp_path / "guest")
    for name in ("base", "prepared"):
        git(top, "update-ref", f"refs/banger/{name}", "HEAD")
    return top


def run(shell: Sequence[str], top: Path, base: str = "HEAD", sent: Sent = Sent.FILES) -> bytes:
    if base:
        base = git(top, "rev-parse", base).decode().strip()
    argv = [*shell, "-c", SNAPSHOT, "sh", *snapshot_arguments(str(top), base, sent)]
    done = subprocess.run(argv, env=environment(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def answer(said: bytes) -> Answer:
    head, _, pack = said.partition(b"\n\n")
    assert pack.startswith(b"PACK")
    lines = [line.split(" ", 1) for line in head.decode(errors="replace").split("\n")]
    return {line[0]: line[1] for line in lines}


def files_of(said: bytes, top: Path, path: Path) -> dict[str, bytes]:
    """What is in the tree, by a repository that gets the pack and the objects of ``top``."""
    git(path.parent, "clone", "-q", "--bare", "--shared", str(top), str(path))
    git(path, "index-pack", "--stdin", "--strict", stdin=said.partition(b"\n\n")[2])
    listing = git(path, "ls-tree", "-r", "-z", answer(said)["tree"]).decode(errors="replace")
    found = {}
    for line in listing.split("\0")[:-1]:
        facts, _, name = line.partition("\t")
        mode, kind, oid = facts.split(" ")
        content = git(path, "cat-file", "blob", oid) if kind == "blob" else b""
        found[name] = mode.encode() + b" " + content
    return found


def test_all_that_is_new_and_nothing_that_is_ignored(
    shell: Sequence[str], guest: Path, tmp_path: Path
) -> None:
    write(guest, ".gitignore", "*.log\n")
    write(guest, "debug.log", "ignored")
    write(guest, "new\nline/\xe9", "new")
    write(guest, "README", "edited\n")
    (guest / "src/other.py").unlink()
    (guest / "link").symlink_to("/etc/passwd")
    (guest / "src/main.py").chmod(0o644)
    write(guest, "staged", "staged")
    git(guest, "add", "staged")
    write(guest, "staged", "edited after that")
    before = fingerprint(guest)
    said = run(shell, guest)
    after = fingerprint(guest)
    times = {path for path in after if b"/.git/objects/" in path or path.endswith(b"/.git")}
    assert after.keys() == before.keys()
    assert {path for path in after if after[path] != before[path]} <= times
    assert files_of(said, guest, tmp_path / "host") == {
        ".gitignore": b"100644 *.log\n",
        "README": b"100644 edited\n",
        "link": b"120000 /etc/passwd",
        "new\nline/\xe9": b"100644 new",
        "src/main.py": b"100644 print(1)\n",
        "staged": b"100644 edited after that",
    }


def test_what_is_said_of_commits(shell: Sequence[str], guest: Path) -> None:
    base = git(guest, "rev-parse", "HEAD").decode().strip()
    said = answer(run(shell, guest, base))
    assert said == {
        "tree": git(guest, "rev-parse", "HEAD^{tree}").decode().strip(),
        "prepared": git(guest, "rev-parse", "HEAD^{tree}").decode().strip(),
        "base": git(guest, "rev-parse", "HEAD^{tree}").decode().strip(),
        "head": base,
        "branch": "main",
        "commits": "0",
    }
    git(guest, "checkout", "-q", "-b", "feature/x")
    write(guest, "new", "new")
    head = commit(guest)
    said = answer(run(shell, guest, base))
    assert (said["head"], said["branch"], said["commits"]) == (head, "feature/x", "1")
    git(guest, "checkout", "-q", "--detach", f"{base}~1")
    said = answer(run(shell, guest, base))
    assert "branch" not in said
    assert said["rewritten"] == "x"


def test_only_what_the_host_lacks_is_sent(
    shell: Sequence[str], guest: Path, tmp_path: Path
) -> None:
    base = git(guest, "rev-parse", "HEAD").decode().strip()
    write(guest, "new", "new")
    head = commit(guest)
    write(guest, "more", "more")
    for sent, kinds in (
        (Sent.FILES, {b"blob": 2, b"tree": 1}),
        (Sent.COMMITS, {b"blob": 2, b"tree": 2, b"commit": 1}),
        (Sent.WHOLE, {b"blob": 5, b"tree": 3}),
    ):
        bare = empty(tmp_path / sent / "r", "--bare")
        pack = run(shell, guest, base, sent).partition(b"\n\n")[2]
        git(bare, "index-pack", "--stdin", stdin=pack)
        listing = git(bare, "cat-file", "--batch-all-objects", "--batch-check")
        found = [line.split()[1] for line in listing.splitlines()]
        assert {kind: found.count(kind) for kind in set(found)} == kinds
        assert (head.encode() in listing) == (sent is Sent.COMMITS)


def test_a_repository_without_commits(shell: Sequence[str], tmp_path: Path) -> None:
    top = empty(tmp_path / "guest")
    said = answer(run(shell, top, ""))
    assert said.keys() == {"tree", "branch", "commits"}
    write(top, "new", "new")
    commit(top)
    assert answer(run(shell, top, ""))["commits"] == "1"


@pytest.mark.parametrize("made", ["path", "file", "repository", "broken", "dir"])
def test_a_workspace_that_is_gone(
    shell: Sequence[str], guest: Path, made: str, tmp_path: Path
) -> None:
    if made in ("path", "file"):
        guest.rename(tmp_path / "away")
        if made == "file":
            write(tmp_path, "guest", "")
    elif made == "broken":
        (guest / ".git/HEAD").unlink()
    else:
        (guest / ".git").rename(tmp_path / "away")
        if made == "dir":
            (guest / ".git").mkdir()
    word = b"path" if made in ("path", "file") else b"repository"
    assert run(shell, guest, "").startswith(b"refused " + word + b"\n")


def test_a_guest_without_git(shell: Sequence[str], guest: Path, tmp_path: Path) -> None:
    argv = [*shell, "-c", SNAPSHOT, "sh", str(guest), "", "files"]
    done = subprocess.run(argv, env={"PATH": str(tmp_path)}, capture_output=True, check=True)
    assert done.stdout == b"refused git\n"


def test_a_repository_without_a_commit_within_it(
    shell: Sequence[str], guest: Path, tmp_path: Path
) -> None:
    empty(guest / "vendor/new one")
    write(guest, "vendor/new one/file", "x")
    write(guest, "zz", "new")
    said = run(shell, guest)
    assert answer(said)["left"] == "vendor/new one"
    assert "zz" in files_of(said, guest, tmp_path / "host")


def test_a_file_that_git_cannot_read_is_not_passed_over(shell: Sequence[str], guest: Path) -> None:
    (guest / "src/main.py").unlink()
    (guest / ".git/index").write_bytes(b"broken")
    assert run(shell, guest).startswith(b"refused failed\n")


@pytest.mark.parametrize("state", ["merge", "rebase", "assumed", "skipped", "config", "lost"])
def test_states_that_a_guest_may_be_in(
    shell: Sequence[str], guest: Path, state: str, tmp_path: Path
) -> None:
    base = git(guest, "rev-parse", "HEAD").decode().strip()
    if state in ("merge", "rebase"):
        git(guest, "checkout", "-q", "-b", "side")
        write(guest, "README", "side\n")
        commit(guest)
        git(guest, "checkout", "-q", "main")
        write(guest, "README", "main\n")
        commit(guest)
        git(guest, state, "side", check=False)
        assert b"<<<<<<<" in (guest / "README").read_bytes()
    elif state == "lost":
        git(guest, "update-ref", "-d", "refs/banger/prepared")
    elif state == "config":
        for name in ("core.hooksPath", "core.fsmonitor", "filter.x.clean"):
            git(guest, "config", name, str(write(tmp_path, "bad", "#!/bin/sh\nexit 1\n", 0o755)))
        for name in ("core.splitIndex", "core.untrackedCache", "add.ignoreErrors", "index.sparse"):
            git(guest, "config", name, "true")
    elif state in ("assumed", "skipped"):
        option = "--assume-unchanged" if state == "assumed" else "--skip-worktree"
        git(guest, "update-index", option, "README")
    text = (guest / "README").read_bytes() + b"edited\n"
    write(guest, "README", text)
    if state == "assumed":
        git(guest, "update-index", "--assume-unchanged", "src/main.py")
        (guest / "src/main.py").unlink()
    write(guest, "new", "new")
    before = fingerprint(guest / ".git/HEAD", guest / ".git/refs")
    said = run(shell, guest, base)
    assert fingerprint(guest / ".git/HEAD", guest / ".git/refs") == before
    found = files_of(said, guest, tmp_path / "host")
    assert found["README"] == b"100644 " + text
    assert "new" in found
    assert ("src/main.py" in found) == (state != "assumed")
    assert ("prepared" in answer(said)) == (state != "lost")


def test_what_a_filter_of_the_host_made_is_taken_back(
    shell: Sequence[str], guest: Path, tmp_path: Path
) -> None:
    names = [b"a.bin", b"od\nd \x01.bin", b"edited.bin"]
    lines = b""
    for name in names:
        pointer = git(guest, "hash-object", "-w", "--stdin", stdin=b"pointer " + name)
        raw = git(guest, "hash-object", "--stdin", stdin=b"content of " + name)
        write(guest, name, b"content of " + name)
        lines += b"%s 100644 %s\0%s\0" % (pointer.strip(), raw.strip(), name)
    write(guest, ".git/banger/unconverted", lines)
    write(guest, "edited.bin", "edited")
    (guest / "a.bin").chmod(0o755)
    found = files_of(run(shell, guest), guest, tmp_path / "host")
    assert found["a.bin"] == b"100755 pointer a.bin"
    assert found["od\nd \x01.bin"] == b"100644 pointer od\nd \x01.bin"
    assert found["edited.bin"] == b"100644 edited"


def test_a_run_that_was_killed_leaves_nothing_for_long(
    shell: Sequence[str], guest: Path, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "fifo")
    git(guest, "config", "core.excludesFile", str(tmp_path / "fifo"))  # git waits for it
    argv = [*shell, "-c", SNAPSHOT, "sh", str(guest), "", "files"]
    stuck = subprocess.Popen(argv, env=environment(), start_new_session=True)
    ours = guest / ".git/banger"
    eventually(lambda: any(ours.glob("snapshot-*/index.lock")))
    os.killpg(stuck.pid, signal.SIGKILL)
    stuck.wait()
    assert any(ours.iterdir())
    git(guest, "config", "--unset", "core.excludesFile")
    run(shell, guest)
    assert not any(ours.glob("*"))


def test_a_client_that_goes_away_leaves_nothing(shell: Sequence[str], guest: Path) -> None:
    write(guest, "large", os.urandom(4_000_000))
    argv = [*shell, "-c", SNAPSHOT, "sh", str(guest), "", "files"]
    process = subprocess.Popen(argv, env=environment(), stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.read(100)
    process.stdout.close()
    process.wait()
    assert not list((guest / ".git/banger").glob("*"))
