"""Repositories that are legal and hard to carry: each has what the name of its function says."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.repositories.filters import LFS_ATTRIBUTES, install_lfs
from tests.repositories.making import commit, empty, git, ordinary, write

ODD_NAMES = (
    b"with space",
    b" leading and trailing ",
    b"line\nbreak",
    b"\nfirst",
    b"tab\there",
    b"quo\"te'd",
    b"back\\slash",
    b"-dash",
    b"--help",
    b"star*[a-z]?",
    b":colon(exclude)",
    b"#hash",
    b"~tilde",
    b"$(touch x)`touch y`;&|<>",
    b"\xff\xfe not utf-8",
    "é composed, e\u0301 decomposed".encode(),
    b"\x1b[31mred\x7f",
    b"long" + b"x" * 240,
    b"dir with space/line\nbreak/\xff/file",
    b".hidden/.file",
    b"con",
    b"a/" * 40 + b"deep",
)


def odd_names(path: Path) -> Path:
    top = empty(path)
    for name in ODD_NAMES:
        write(top, name, b"content of " + name)
    commit(top)
    for name in ODD_NAMES[::3]:
        write(top, name, b"edited")
    write(top, b"untracked\nand \xff odd", "untracked")
    return top


def symlinks(path: Path) -> Path:
    top = ordinary(path / "top")
    write(path, "outside/secret", "secret")
    for name, target in (
        ("to-file", "README"),
        ("dangling", "nowhere"),
        ("to-directory", "src"),
        ("absolute", "/etc/passwd"),
        ("out", "../outside"),
        ("loop", "loop"),
        ("edited", "one"),
        ("odd", os.fsdecode(b"\xff\n")),
    ):
        (top / name).symlink_to(target)
    commit(top)
    (top / "edited").unlink()
    (top / "edited").symlink_to("another")
    return top


def executables(path: Path) -> Path:
    top = ordinary(path)
    write(top, "run", "#!/bin/sh\n", 0o755)
    write(top, "group-writable", "x", 0o664)
    write(top, "private", "x", 0o600)
    commit(top)
    return top


def mode_only(path: Path) -> Path:
    top = executables(path)
    (top / "run").chmod(0o644)
    (top / "README").chmod(0o755)
    return top


def filemode_off(path: Path) -> Path:
    top = executables(path)
    git(top, "config", "core.filemode", "false")
    write(top, "run", "#!/bin/sh\necho edited\n", 0o755)
    return top


def staged_edit(path: Path) -> Path:
    top = ordinary(path)
    write(top, "README", "staged\n")
    write(top, "new", "staged and new\n")
    git(top, "add", "-A")
    return top


def staged_then_edited(path: Path) -> Path:
    top = staged_edit(path)
    write(top, "README", "edited after that\n")
    write(top, "new", "edited after that\n")
    return top


def staged_then_reverted(path: Path) -> Path:
    """The index differs from HEAD, the file does not."""
    top = staged_edit(path)
    write(top, "README", "read me\n")
    return top


def intent_to_add(path: Path) -> Path:
    top = ordinary(path)
    write(top, "intended", "later\n")
    write(top, "intended-empty", "")
    write(top, "intended-and-gone", "x")
    git(top, "add", "-N", "intended", "intended-empty", "intended-and-gone")
    (top / "intended-and-gone").unlink()
    return top


def unstaged_rename(path: Path) -> Path:
    top = ordinary(path)
    (top / "README").rename(top / "README.md")
    return top


def staged_rename(path: Path) -> Path:
    top = ordinary(path)
    git(top, "mv", "README", "README.md")
    git(top, "mv", "src", "source")
    return top


def deleted(path: Path) -> Path:
    top = ordinary(path)
    (top / "README").unlink()
    git(top, "rm", "-q", "src/other.py")
    return top


def removed_from_index_only(path: Path) -> Path:
    """``git rm --cached``: one becomes untracked, one ignored."""
    top = ordinary(path)
    git(top, "rm", "-q", "--cached", "README", "src/main.py")
    write(top, ".gitignore", "main.py\n")
    return top


def replaced_by_directory(path: Path) -> Path:
    top = ordinary(path)
    (top / "README").unlink()
    write(top, "README/inside", "untracked")
    return top


def replaced_by_symlink(path: Path) -> Path:
    top = ordinary(path)
    (top / "README").unlink()
    (top / "README").symlink_to("src/main.py")
    return top


def symlink_replaced_by_file(path: Path) -> Path:
    top = ordinary(path)
    (top / "link").symlink_to("README")
    commit(top)
    (top / "link").unlink()
    write(top, "link", "README")
    return top


def replaced_by_fifo(path: Path) -> Path:
    top = ordinary(path)
    (top / "README").unlink()
    os.mkfifo(top / "README")
    os.mkfifo(top / "untracked-fifo")
    return top


def directory_replaced_by_symlink(path: Path) -> Path:
    """Tracked files seem to be there still, behind a link to where they are not tracked."""
    top = ordinary(path / "top")
    (top / "src").rename(path / "moved")
    (top / "src").symlink_to(path / "moved")
    return top


def directory_replaced_by_file(path: Path) -> Path:
    top = ordinary(path)
    git(top, "rm", "-q", "-r", "src")
    write(top, "src", "a file now")
    git(top, "add", "src")
    return top


def empty_file(path: Path) -> Path:
    top = ordinary(path)
    write(top, "empty", "")
    commit(top)
    write(top, "README", "")
    return top


def big_file(path: Path) -> Path:
    """105 MB of zeroes that occupy no disk, committed, and another that is not."""
    top = ordinary(path)
    for name in ("big", "big-untracked"):
        with (top / name).open("wb") as opened:
            opened.truncate(105_000_000)
    git(top, "add", "big")
    git(top, "-c", "core.bigFileThreshold=1m", "commit", "-q", "-m", "big")
    return top


def no_commits(path: Path) -> Path:
    return empty(path)


def no_commits_but_files(path: Path) -> Path:
    top = empty(path)
    write(top, "staged", "staged\n")
    git(top, "add", "staged")
    write(top, "untracked", "untracked\n")
    return top


def detached(path: Path) -> Path:
    top = ordinary(path)
    git(top, "checkout", "-q", "--detach", "HEAD~1")
    return top


def linked_worktree(path: Path) -> Path:
    main = ordinary(path / "main")
    git(main, "worktree", "add", "-q", "-b", "linked", str(path / "linked"))
    write(path / "linked", "README", "edited in the linked worktree\n")
    write(main, "README", "edited in the main one\n")
    return path / "linked"


def _wide(path: Path) -> Path:
    top = empty(path)
    for name in ("top", "a/one", "a/deep/two", "b/three", "b/deep/four", "c/five"):
        write(top, name, name)
    commit(top)
    return top


def sparse_cone(path: Path) -> Path:
    top = _wide(path)
    git(top, "sparse-checkout", "set", "--cone", "a/deep")
    write(top, "a/deep/two", "edited")
    return top


def sparse_patterns(path: Path) -> Path:
    top = _wide(path)
    git(top, "sparse-checkout", "set", "--no-cone", "/top", "/b/deep/")
    return top


def sparse_index(path: Path) -> Path:
    top = _wide(path)
    git(top, "sparse-checkout", "set", "--cone", "--sparse-index", "b")
    write(top, "b/three", "edited")
    return top


def sparse_but_present(path: Path) -> Path:
    """A file outside the patterns that is there all the same."""
    top = sparse_cone(path)
    git(top, "config", "sparse.expectFilesOutsideOfPatterns", "true")
    write(top, "c/five", "made by hand")
    return top


def skip_worktree_by_hand(path: Path) -> Path:
    """The well-known way to keep local edits out of git's sight."""
    top = ordinary(path)
    git(top, "update-index", "--skip-worktree", "README", "src/other.py")
    write(top, "README", "local edit\n")
    return top


def assume_unchanged(path: Path) -> Path:
    top = ordinary(path)
    git(top, "update-index", "--assume-unchanged", "README", "src/main.py", "src/other.py")
    write(top, "README", "local edit\n")
    (top / "src/other.py").unlink()
    return top


def submodule_clean(path: Path) -> Path:
    library = ordinary(path / "library")
    top = ordinary(path / "top")
    git(top, "submodule", "-q", "add", str(library), "lib/one")
    commit(top)
    return top


def submodule_dirty(path: Path) -> Path:
    top = submodule_clean(path)
    write(top / "lib/one", "README", "edited in the submodule\n")
    write(top / "lib/one", "untracked", "x")
    write(top / "lib/one", "src/new.py", "new\n")
    git(top / "lib/one", "add", "src/new.py")
    return top


def submodule_moved_on(path: Path) -> Path:
    """The submodule's HEAD is not the commit that the index names."""
    top = submodule_clean(path)
    write(top / "lib/one", "later", "later\n")
    commit(top / "lib/one")
    return top


def submodule_nested(path: Path) -> Path:
    inner = ordinary(path / "inner")
    middle = ordinary(path / "middle")
    git(middle, "submodule", "-q", "add", str(inner), "inner")
    commit(middle)
    top = ordinary(path / "top")
    git(top, "submodule", "-q", "add", str(middle), "middle")
    git(top, "submodule", "-q", "update", "--init", "--recursive")
    commit(top)
    write(top / "middle/inner", "README", "edited inside\n")
    return top


def submodule_not_initialised(path: Path) -> Path:
    made = submodule_clean(path / "made")
    git(path, "clone", "-q", "--no-local", str(made), "clone")
    return path / "clone"


def submodule_with_its_own_git_directory(path: Path) -> Path:
    """Added by hand, as it was before git 1.7.8: ``lib/.git`` is a directory."""
    top = ordinary(path / "top")
    ordinary(top / "lib")
    git(top, "-c", "advice.addEmbeddedRepo=false", "add", "lib")
    git(top, "commit", "-q", "-m", "embedded")
    return top


def submodule_replaced_by_file(path: Path) -> Path:
    """Not in ``NASTY``: ``git apply`` cannot put the file where a clone has the submodule."""
    top = submodule_clean(path)
    shutil.rmtree(top / "lib/one")
    write(top, "lib/one", "a file now")
    return top


def fsmonitor_index(path: Path) -> Path:
    """The index says that a monitor watches all files, and that none has changed."""
    top = ordinary(path)
    hook = write(top, ".git/watch", "#!/bin/sh\nprintf 'token\\0'\n", 0o755)
    git(top, "config", "core.fsmonitor", str(hook))
    git(top, "update-index", "--fsmonitor")
    git(top, "status")
    write(top, "README", "edited behind its back\n")
    return top


def lfs(path: Path) -> Path:
    """A filter as Git LFS is one: pointers in the commits, content in the work tree."""
    top = empty(path)
    install_lfs(top)
    write(top, ".gitattributes", LFS_ATTRIBUTES)
    write(top, "asset.bin", b"\0content of an asset" * 10)
    write(top, "other.bin", b"\1other" * 100)
    commit(top)
    return settled(top)


def lfs_edited(path: Path) -> Path:
    top = lfs(path)
    write(top, "asset.bin", b"edited asset")
    return top


def lfs_touched(path: Path) -> Path:
    """Other times in the work tree than in the index, the same bytes."""
    top = lfs(path)
    os.utime(top / "asset.bin", (1_000_000, 1_000_000))
    return top


def lfs_pointers(path: Path) -> Path:
    """The work tree has the pointers themselves, as without git-lfs."""
    top = lfs(path)
    for name in ("asset.bin", "other.bin"):
        (top / name).write_bytes(git(top, "cat-file", "blob", f"HEAD:{name}"))
    for driver in ("clean", "smudge", "required"):
        git(top, "config", "--unset", f"filter.lfs.{driver}")
    (top / ".git/index").unlink()
    git(top, "reset", "-q")
    return settled(top)


def autocrlf(path: Path) -> Path:
    top = empty(path)
    git(top, "config", "core.autocrlf", "true")
    write(top, "text", "one\r\ntwo\r\n")
    write(top, "edited", "one\r\ntwo\r\n")
    write(top, "binary", b"\0\r\n\n")
    write(top, "one-line", "no break")
    commit(top)
    write(top, "edited", "one\r\nthree\r\n")
    return settled(top)


def eol_crlf(path: Path) -> Path:
    top = empty(path)
    write(top, ".gitattributes", "*.bat text eol=crlf\n*.txt text=auto\n*.sh text eol=lf\n")
    for name in ("run.bat", "text.txt", "run.sh"):
        write(top, name, "one\ntwo\n")
    commit(top)
    (top / "run.bat").unlink()
    git(top, "checkout", "-q", "--", "run.bat")
    assert b"\r\n" in (top / "run.bat").read_bytes()
    return settled(top)


def eol_attributes_gone(path: Path) -> Path:
    """Checked out with CRLF; then the attributes went, and git calls the file unmodified still."""
    top = eol_crlf(path)
    (top / ".gitattributes").unlink()
    return top


def ident(path: Path) -> Path:
    top = empty(path)
    write(top, ".gitattributes", "*.c ident\n")
    write(top, "main.c", "/* $Id$ */\n")
    write(top, "plain.c", "/* none */\n")
    commit(top)
    (top / "main.c").unlink()
    git(top, "checkout", "-q", "--", "main.c")
    assert b"$Id: " in (top / "main.c").read_bytes()
    return settled(top)


def working_tree_encoding(path: Path) -> Path:
    top = empty(path)
    write(top, ".gitattributes", "*.txt text working-tree-encoding=UTF-16LE\n")
    write(top, "text.txt", "grüße\n".encode("utf-16-le"))
    commit(top)
    return settled(top)


def tracked_and_ignored(path: Path) -> Path:
    top = ordinary(path)
    write(top, "build/kept.o", "object")
    git(top, "add", "-f", "build/kept.o")
    write(top, ".gitignore", "*.o\n.env\n")
    commit(top)
    write(top, "build/kept.o", "edited object")
    write(top, "build/other.o", "ignored")
    write(top, ".env", "SECRET=1")
    write(top, "notes", "untracked")
    return top


def conflict(path: Path) -> Path:
    """In the middle of a merge: both sides edited one file, one deleted another."""
    top = ordinary(path)
    write(top, "doomed", "doomed\n")
    commit(top)
    git(top, "checkout", "-q", "-b", "side")
    write(top, "README", "side\n")
    write(top, "doomed", "edited\n")
    write(top, "from-side", "new\n")
    commit(top)
    git(top, "checkout", "-q", "main")
    write(top, "README", "main\n")
    (top / "doomed").unlink()
    commit(top)
    git(top, "merge", "-q", "side", check=False)
    assert b"<<<<<<<" in (top / "README").read_bytes()
    return top


def split_index(path: Path) -> Path:
    top = ordinary(path)
    git(top, "update-index", "--split-index")
    write(top, "later", "later")
    git(top, "add", "later")
    return top


def index_version_4(path: Path) -> Path:
    top = staged_edit(path)
    git(top, "update-index", "--index-version", "4")
    return top


def untracked_cache(path: Path) -> Path:
    top = ordinary(path)
    git(top, "update-index", "--force-untracked-cache")
    git(top, "status")
    write(top, "src/untracked", "x")
    return top


def shallow(path: Path) -> Path:
    origin = long_history(path / "origin")
    git(path, "clone", "-q", "--depth", "3", f"file://{origin}", "clone")
    write(path / "clone", "README", "edited\n")
    return path / "clone"


def alternates(path: Path) -> Path:
    ordinary(path / "origin")
    git(path, "clone", "-q", "--shared", str(path / "origin"), "clone")
    write(path / "clone", "new", "new\n")
    commit(path / "clone")
    return path / "clone"


def packed(path: Path) -> Path:
    top = long_history(path)
    git(top, "tag", "-a", "-m", "annotated", "v1", "HEAD~2")
    git(top, "gc", "-q")
    git(top, "commit-graph", "write", "--reachable")
    return top


def racy(path: Path) -> Path:
    """An edit that only the bytes show: size and all times are those in the index."""
    top = ordinary(path)
    git(top, "config", "core.trustctime", "false")
    write(top, "racy", "aaaa")
    git(top, "add", "racy")
    git(top, "commit", "-q", "-m", "racy")
    (top / "racy").write_bytes(b"bbbb")
    moment = ((top / ".git/index").stat().st_mtime_ns // 10**9) * 10**9
    os.utime(top / "racy", ns=(moment, moment))
    (top / "racy").write_bytes(b"aaaa")
    os.utime(top / "racy", ns=(moment, moment))
    git(top, "update-index", "--refresh")
    (top / "racy").write_bytes(b"bbbb")
    os.utime(top / "racy", ns=(moment, moment))
    os.utime(top / ".git/index", ns=(moment, moment))
    return top


def untracked_files(path: Path) -> Path:
    top = ordinary(path)
    write(top, "notes", "untracked")
    write(top, "new/deep/file", "untracked", 0o755)
    (top / "new/link").symlink_to("deep/file")
    write(top, ".gitignore", "*.log\n")
    write(top, "debug.log", "ignored")
    return top


def untracked_repository(path: Path) -> Path:
    top = ordinary(path)
    ordinary(top / "vendor/other")
    write(top, "notes", "untracked")
    return top


def odd_branch(path: Path) -> Path:
    top = ordinary(path)
    git(top, "checkout", "-q", "-b", "feature/ü-é'\"$(x);&")
    git(top, "tag", "v1.0-ü")
    return top


def long_history(path: Path) -> Path:
    """Fifteen commits, two merges, tags on both sides of the tenth commit."""
    top = ordinary(path)
    for number in range(10):
        write(top, "counter", f"{number}\n" * 50)
        commit(top, f"count {number}")
        git(top, "tag", f"count-{number}")
    for name in ("left", "right"):
        git(top, "checkout", "-q", "-b", name, "main")
        write(top, name, name)
        commit(top, name)
    git(top, "checkout", "-q", "main")
    git(top, "merge", "-q", "--no-ff", "-m", "merge both", "left", "right")
    return top


def sha256(path: Path) -> Path:
    top = empty(path, "--object-format=sha256")
    write(top, "README", "read me\n")
    write(top, "run", "#!/bin/sh\n", 0o755)
    commit(top)
    write(top, "README", "edited\n")
    return top


def copied(path: Path) -> Path:
    """A copy by ``cp -r``: no time and no inode is what the index says."""
    top = ordinary(path)
    for name in ("README", "src/main.py", "src/other.py"):
        content, mode = (top / name).read_bytes(), (top / name).stat().st_mode & 0o777
        (top / name).unlink()
        write(top, name, content, mode)
        os.utime(top / name, (1_000_000, 1_000_000))
    return top


def settled(top: Path) -> Path:
    """Make the index younger than all files, so that git trusts what it noted of them."""
    names = git(top, "ls-files", "-z").split(b"\0")[:-1]
    for name in names:
        os.utime(top / os.fsdecode(name), (1_600_000_000, 1_600_000_000))
    git(top, "update-index", "-q", "--refresh", check=False)
    return top


NASTY: tuple[tuple[str, Callable[[Path], Path]], ...] = tuple(
    (function.__name__, function)
    for function in (
        *(ordinary, odd_names, symlinks, executables, mode_only, filemode_off, staged_edit),
        *(staged_then_edited, staged_then_reverted, intent_to_add, unstaged_rename),
        *(staged_rename, deleted, removed_from_index_only, replaced_by_directory),
        *(replaced_by_symlink, symlink_replaced_by_file, replaced_by_fifo),
        *(directory_replaced_by_symlink, directory_replaced_by_file, empty_file, big_file),
        *(no_commits, no_commits_but_files, detached, linked_worktree, sparse_cone),
        *(sparse_patterns, sparse_index, sparse_but_present, skip_worktree_by_hand),
        *(assume_unchanged, submodule_clean, submodule_dirty, submodule_moved_on),
        *(submodule_nested, submodule_not_initialised, submodule_with_its_own_git_directory),
        fsmonitor_index,
        *(lfs, lfs_edited, lfs_touched, lfs_pointers, autocrlf, eol_crlf, eol_attributes_gone),
        *(ident, working_tree_encoding, tracked_and_ignored, conflict, split_index),
        *(index_version_4, untracked_cache, shallow, alternates, packed, racy),
        *(untracked_files, untracked_repository, odd_branch, long_history, sha256, copied),
    )
)
