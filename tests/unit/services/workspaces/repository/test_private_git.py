"""The private git directory: what it knows of the repository, and what it leaves behind there."""

from pathlib import Path

import pytest

from services.workspaces.repository.discovery import discover
from services.workspaces.repository.private_git import PrivateGit
from shared.errors import BangerError, Code
from tests.repositories import empty, git, ordinary, write


def private(top: Path, tmp_path: Path) -> PrivateGit:
    return PrivateGit(discover(top), tmp_path / "private")


@pytest.mark.parametrize(
    "name", ["plain", "with space", "line\nbreak", 'quo"te', "back\\slash", "ü"]
)
def test_objects_index_and_refs_of_the_repository_are_there(tmp_path: Path, name: str) -> None:
    top = ordinary(tmp_path / name)
    git(top, "tag", "-a", "-m", "annotated", "v1", "HEAD~1")
    own = private(top, tmp_path)
    assert own.run("rev-parse", "HEAD") == git(top, "rev-parse", "HEAD")
    assert own.run("symbolic-ref", "HEAD") == b"refs/heads/main\n"
    assert own.run("rev-parse", "v1^{commit}") == git(top, "rev-parse", "HEAD~1")
    assert own.run("ls-files", "-s", "-z") == git(top, "ls-files", "-s", "-z")
    assert own.run("diff-files", "--raw") == b""
    assert own.run("cat-file", "blob", "HEAD:README") == b"read me\n"


def test_objects_that_git_writes_stay_in_it(tmp_path: Path) -> None:
    top = ordinary(tmp_path / "repository")
    own = private(top, tmp_path)
    oid = own.run("hash-object", "-w", "--stdin", stdin=b"new").decode().strip()
    assert own.run("cat-file", "blob", oid) == b"new"
    assert git(top, "cat-file", "-e", oid, check=False) == b""
    assert not (top / ".git/objects" / oid[:2] / oid[2:]).exists()


def test_a_streaming_git_reads_and_writes_pipes(tmp_path: Path) -> None:
    own = private(ordinary(tmp_path / "repository"), tmp_path)
    with own.start("archive", "HEAD") as process:
        assert process.stdout is not None
        assert b"read me" in process.stdout.read()
    assert process.returncode == 0


def test_a_repository_without_commits_has_no_head(tmp_path: Path) -> None:
    own = private(empty(tmp_path / "repository"), tmp_path)
    assert own.attempt("rev-parse", "-q", "--verify", "HEAD").status == 1
    assert own.run("ls-files", "-s") == b""


def test_a_missing_object_is_an_error_that_names_the_repository(tmp_path: Path) -> None:
    top = ordinary(tmp_path / "repository")
    blob = git(top, "rev-parse", "HEAD:README").decode().strip()
    (top / ".git/objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(BangerError, match="lacks objects") as raised:
        private(top, tmp_path).run("pack-objects", "--revs", "--stdout", stdin=b"HEAD\n")
    assert raised.value.code is Code.INVALID


def test_an_index_that_is_no_file_is_refused(tmp_path: Path) -> None:
    top = ordinary(tmp_path / "repository")
    (top / ".git/index").unlink()
    (top / ".git/index").mkdir()
    with pytest.raises(BangerError, match="not a regular file"):
        private(top, tmp_path)


def test_sha256_is_read_as_sha1_is(tmp_path: Path) -> None:
    top = empty(tmp_path / "repository", "--object-format=sha256")
    write(top, "file", "content")
    git(top, "add", "file")
    git(top, "commit", "-q", "-m", "first")
    own = private(top, tmp_path)
    assert len(own.run("rev-parse", "HEAD").strip()) == 64
    assert own.run("diff-index", "--cached", "HEAD") == b""


def test_a_linked_worktree_has_its_own_head_and_index(tmp_path: Path) -> None:
    main = ordinary(tmp_path / "repository")
    linked = tmp_path / "linked"
    git(main, "worktree", "add", "-q", "-b", "other", str(linked))
    write(linked, "new", "new")
    git(linked, "add", "new")
    own = private(linked, tmp_path)
    assert own.run("symbolic-ref", "--short", "HEAD") == b"other\n"
    assert own.run("diff-index", "--cached", "--name-only", "HEAD") == b"new\n"


def test_a_split_index_is_read_whole(tmp_path: Path) -> None:
    top = ordinary(tmp_path / "repository")
    git(top, "update-index", "--split-index")
    write(top, "later", "later")
    git(top, "add", "later")
    assert list((top / ".git").glob("sharedindex.*"))
    own = private(top, tmp_path)
    assert own.run("ls-files") == git(top, "ls-files")


def test_alternates_of_the_repository_are_followed(tmp_path: Path) -> None:
    origin = ordinary(tmp_path / "origin")
    git(tmp_path, "clone", "-q", "--shared", str(origin), "clone")
    alternates = tmp_path / "clone/.git/objects/info/alternates"
    alternates.write_text("../../../origin/.git/objects\n")
    own = private(tmp_path / "clone", tmp_path)
    assert own.run("cat-file", "blob", "HEAD:README") == b"read me\n"


def test_replaced_objects_are_what_they_were(tmp_path: Path) -> None:
    top = ordinary(tmp_path / "repository")
    git(top, "replace", "HEAD", "HEAD~1")
    own = private(top, tmp_path)
    assert b"second" in own.run("cat-file", "commit", "HEAD")
    assert b"replace" not in own.run("for-each-ref")


def test_refs_that_are_a_reftable_are_refused(tmp_path: Path) -> None:
    top = ordinary(tmp_path / "repository")
    git(top, "config", "extensions.refstorage", "reftable")
    with pytest.raises(BangerError, match="reftable") as raised:
        private(top, tmp_path)
    assert raised.value.code is Code.INCOMPATIBLE


def test_a_broken_branch_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    top = ordinary(tmp_path / "repository")
    (top / ".git/refs/heads/main").write_text("nonsense\n")
    with pytest.raises(BangerError, match="broken ref refs/heads/main"):
        private(top, tmp_path)


def test_head_may_be_a_symlink_as_it_was_long_ago(tmp_path: Path) -> None:
    top = ordinary(tmp_path / "repository")
    (top / ".git/HEAD").unlink()
    (top / ".git/HEAD").symlink_to("refs/heads/main")
    own = private(top, tmp_path)
    assert own.head == b"ref: refs/heads/main"
    assert own.run("rev-parse", "HEAD") == git(top, "rev-parse", "HEAD")
