"""Repositories that try to run a program on the host, or to have files outside them read.

Every program that one names appends to the file that ``marker`` returns, and every file outside has
the text ``SECRET``. Nothing of either may ever be seen.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from tests.repositories.making import commit, git, ordinary, write

SECRET = "outside-secret-0c9d"
PROGRAMS = (
    "core.fsmonitor",
    "core.sshCommand",
    "core.gitProxy",
    "core.pager",
    "core.editor",
    "core.askPass",
    "core.alternateRefsCommand",
    "sequence.editor",
    "credential.helper",
    "diff.external",
    "diff.evil.command",
    "diff.evil.textconv",
    "merge.evil.driver",
    "filter.evil.clean",
    "filter.evil.smudge",
    "filter.evil.process",
    "gpg.program",
    "gc.recentObjectsHook",
    "interactive.diffFilter",
    "pager.config",
    "pager.diff-files",
    "pager.ls-files",
    "remote.origin.uploadpack",
    "remote.origin.receivepack",
    "tar.tar.command",
    "uploadpack.packObjectsHook",
)
HOOKS = (
    *("applypatch-msg", "commit-msg", "fsmonitor-watchman", "post-applypatch", "post-checkout"),
    *("post-commit", "post-index-change", "post-merge", "post-rewrite", "pre-auto-gc"),
    *("pre-commit", "pre-push", "pre-rebase", "prepare-commit-msg", "query-watchman"),
    *("reference-transaction", "sendemail-validate", "update"),
)


def marker(path: Path) -> Path:
    """What a program of the repository that was made in ``path`` leaves behind when it runs."""
    return path / "marker"


def _program(path: Path) -> Path:
    script = f"#!/bin/sh\necho \"$0 $*\" >> '{marker(path)}'\ncat\n"
    return write(path, "evil", script, 0o755)


def _outside(path: Path) -> Path:
    write(path, "outside/passwd", SECRET)
    return path / "outside"


def configured_programs(path: Path) -> Path:
    """Every setting that names a program, for files that use every one of them."""
    top = ordinary(path / "top")
    write(top, ".gitattributes", "* filter=evil diff=evil merge=evil\n")
    commit(top)
    program = _program(path)
    for name in PROGRAMS:
        git(top, "config", name, str(program))
    for name in ("diff-files", "ls-files", "rev-parse", "for-each-ref", "cat-file", "config"):
        git(top, "config", f"alias.{name}", f"!{program}")
    git(top, "config", "filter.evil.required", "true")
    git(top, "config", "core.untrackedCache", "true")
    write(top, "README", "edited, so that a filter would be asked\n")
    os.utime(top / "src/main.py", (1_000_000, 1_000_000))
    write(top, "untracked", "x")
    return top


def hooks(path: Path) -> Path:
    top = ordinary(path / "top")
    program = _program(path).read_text()
    for name in HOOKS:
        write(top, f".git/hooks/{name}", program, 0o755)
        write(top, f"hooks/{name}", program, 0o755)
    git(top, "config", "core.hooksPath", "hooks")
    write(top, "README", "edited\n")
    return top


def promisor_remote(path: Path) -> Path:
    """A missing blob that git would fetch, by a program."""
    top = ordinary(path / "top")
    program = _program(path)
    git(top, "config", "remote.origin.url", f"ext::{program}")
    git(top, "config", "remote.origin.promisor", "true")
    git(top, "config", "remote.origin.partialclonefilter", "blob:none")
    git(top, "config", "protocol.ext.allow", "always")
    git(top, "config", "core.repositoryFormatVersion", "1")
    git(top, "config", "extensions.partialClone", "origin")
    blob = git(top, "rev-parse", "HEAD:README").decode().strip()
    (top / ".git/objects" / blob[:2] / blob[2:]).unlink()
    return top


def included_configuration(path: Path) -> Path:
    top = ordinary(path / "top")
    program = _program(path)
    text = f'[core]\n\tfsmonitor = {program}\n\thooksPath = {program}\n[filter "evil"]\n'
    write(path, "included", f"{text}\tclean = {program}\n\tsmudge = {program}\n")
    git(top, "config", "include.path", str(path / "included"))
    write(top, ".gitattributes", "* filter=evil\n")
    write(top, "README", "edited\n")
    return top


def submodule_urls(path: Path) -> Path:
    """Submodules whose URLs, update commands and configuration are programs."""
    library = ordinary(path / "library")
    top = ordinary(path / "top")
    git(top, "submodule", "-q", "add", str(library), "lib")
    commit(top)
    program = _program(path)
    git(top, "config", "submodule.lib.url", f"ext::{program}")
    git(top, "config", "submodule.lib.update", f"!{program}")
    text = f'[submodule "lib"]\n\tpath = lib\n\turl = ext::{program}\n\tupdate = !{program}\n'
    write(top, ".gitmodules", text)
    for name in ("core.fsmonitor", "filter.evil.clean", "core.sshCommand", "diff.external"):
        git(top / "lib", "config", name, str(program))
    write(top / "lib", ".gitattributes", "* filter=evil\n")
    write(top / "lib", "README", "edited\n")
    return top


def path_behind_a_symlink(path: Path) -> Path:
    """The index has ``a/passwd``, and ``a`` leads out."""
    top = ordinary(path / "top")
    blob = git(top, "hash-object", "-w", "--stdin", stdin=b"innocent").decode().strip()
    git(top, "update-index", "--add", "--cacheinfo", f"100644,{blob},a/passwd")
    git(top, "commit", "-q", "-m", "a path")
    (top / "a").symlink_to(_outside(path))
    return top


def submodule_behind_a_symlink(path: Path) -> Path:
    top = ordinary(path / "top")
    outside = ordinary(path / "outside")
    write(outside, "passwd", SECRET)
    head = commit(outside)
    git(top, "update-index", "--add", "--cacheinfo", f"160000,{head},sub")
    git(top, "update-index", "--add", "--cacheinfo", f"160000,{head},dir/sub")
    git(top, "commit", "-q", "-m", "submodules")
    (top / "sub").symlink_to(outside)
    write(path, "elsewhere/file", "x")
    outside.rename(path / "elsewhere/sub")
    outside.symlink_to(path / "elsewhere/sub")
    (top / "dir").symlink_to(path / "elsewhere")
    return top


def submodule_with_foreign_git_directory(path: Path) -> Path:
    """``sub/.git`` names the git directory of a repository that is not below this one."""
    top = ordinary(path / "top")
    outside = ordinary(path / "outside")
    write(outside, "passwd", SECRET)
    head = commit(outside)
    git(top, "update-index", "--add", "--cacheinfo", f"160000,{head},sub")
    git(top, "commit", "-q", "-m", "a submodule")
    write(top, "sub/.git", f"gitdir: {outside}/.git\n")
    write(top, "sub/README", "x")
    return top


def submodule_with_foreign_common_directory(path: Path) -> Path:
    """``sub/.git/commondir`` names it."""
    top = ordinary(path / "top")
    outside = ordinary(path / "outside")
    write(outside, "passwd", SECRET)
    head = commit(outside)
    git(top, "update-index", "--add", "--cacheinfo", f"160000,{head},sub")
    git(top, "commit", "-q", "-m", "a submodule")
    write(top, "sub/.git/HEAD", f"{head}\n")
    write(top, "sub/.git/commondir", f"{outside}/.git\n")
    write(top, "sub/.git/gitdir", f"{top}/sub/.git\n")
    return top


def patterns_outside(path: Path) -> Path:
    """Files of patterns that are links to other files, or FIFOs by name of the configuration."""
    top = ordinary(path / "top")
    outside = _outside(path)
    (top / ".gitignore").symlink_to(outside / "passwd")
    (top / "src/.gitattributes").symlink_to(outside / "passwd")
    os.mkfifo(path / "fifo")
    git(top, "config", "core.excludesFile", str(path / "fifo"))
    git(top, "config", "core.attributesFile", str(path / "fifo"))
    write(top, "untracked", "x")
    return top


def _index_with(path: Path, name: bytes) -> Path:
    """The index has another name, of the same length, for a file that git has added."""
    top = ordinary(path / "top")
    stand_in = b"x" * len(name)
    write(top, stand_in, "x")
    git(top, "add", "-A")
    index = (top / ".git/index").read_bytes()[:-20].replace(stand_in, name)
    (top / ".git/index").write_bytes(index + hashlib.sha1(index).digest())
    _outside(path)
    return top


def index_path_that_leads_out(path: Path) -> Path:
    return _index_with(path, b"../outside/passwd")


def index_path_into_git_directory(path: Path) -> Path:
    return _index_with(path, b"src/.GIT/config")


def index_path_that_is_absolute(path: Path) -> Path:
    return _index_with(path, b"/etc/hostname")


REFUSED = (
    *("promisor_remote", "index_path_that_leads_out", "index_path_into_git_directory"),
    "index_path_that_is_absolute",
)
"""Those of ``HOSTILE`` that cannot be selected from."""

HOSTILE: tuple[tuple[str, Callable[[Path], Path]], ...] = tuple(
    (function.__name__, function)
    for function in (
        *(configured_programs, hooks, promisor_remote, included_configuration, submodule_urls),
        *(path_behind_a_symlink, submodule_behind_a_symlink),
        *(submodule_with_foreign_git_directory, submodule_with_foreign_common_directory),
        *(patterns_outside, index_path_that_leads_out, index_path_into_git_directory),
        index_path_that_is_absolute,
    )
)
