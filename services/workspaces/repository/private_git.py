"""A git directory of ours, in which all reading of a repository happens.

Its configuration is an allow list, so nothing that the repository names can run; its objects are
the repository's, by ``objects/info/alternates``; its index and refs are copies. git writes, if at
all, into the copy. See docs/decisions/0033-a-private-git-directory.md.
"""

import os
import re
import shutil
from pathlib import Path

from services.workspaces.repository.configuration import (
    config_text,
    private_settings,
    read_configuration,
)
from services.workspaces.repository.discovery import Repository
from services.workspaces.repository.git_process import GitProcess, clean_environment, git_error
from services.workspaces.repository.regular_file import copy_regular, read_start
from shared.errors import BangerError, Code
from shared.plain_text import printable

HEAD = re.compile(rb"ref: refs/[^\0\n]+|[0-9a-f]{40}|[0-9a-f]{64}")
PACKED_REFS_HEADER = b"# pack-refs with: sorted \n"


class PrivateGit(GitProcess):
    """git in a private directory: ``run``, ``attempt`` and ``start`` of GitProcess.

    It works in the repository's work tree, at its top level. HEAD, branches, tags and the index
    are those that the repository had when this was made; new objects are written into
    ``git_directory``, which is the quarantine of what comes from a guest.
    """

    def __init__(self, repository: Repository, directory: Path) -> None:
        """Make the git directory at ``directory``, which must not exist, and fill it.

        Raises ``denied`` for what this user may not read, ``incompatible`` for an unknown format.
        """
        environment = clean_environment(
            {
                "GIT_DIR": str(directory),
                "GIT_WORK_TREE": str(repository.top),
                "GIT_CONFIG_GLOBAL": "/dev/null",
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_ATTR_NOSYSTEM": "1",
                "HOME": str(directory),
                "XDG_CONFIG_HOME": str(directory),
            }
        )
        super().__init__(repository.top, environment)
        self.repository = repository
        self.configuration = read_configuration(repository)
        self.git_directory = directory
        self.head = _head_of(repository)
        """The line of HEAD: a commit, or "ref: " and the full name of a branch."""
        self._make()

    def _make(self) -> None:
        ours, repository = self.git_directory, self.repository
        settings = private_settings(self.configuration, repository)
        _skeleton(ours, settings, repository, self.head)
        for name in ("info/exclude", "info/attributes", "shallow"):
            copy_regular(repository.common_directory / name, ours / name)
        for name in ("info/sparse-checkout", "index"):
            copy_regular(repository.git_directory / name, ours / name)
        for shared in repository.git_directory.glob("sharedindex.*"):
            copy_regular(shared, ours / shared.name)
        self._copy_refs(settings)
        if self.configuration.flag("index.sparse", False):
            self._copy_trees()

    def _copy_trees(self) -> None:
        """Copy the trees of HEAD, because git writes trees when it reads a sparse index.

        For one that exists already it renews the time of the file that has it: ours, not the
        repository's.
        """
        listed = self.attempt("ls-tree", "-r", "-d", "-z", "HEAD")
        trees = [
            line.partition(b"\t")[0].split(b" ")[2] for line in listed.stdout.split(b"\0")[:-1]
        ]
        if listed.status == 0:
            top = self.run("rev-parse", "HEAD^{tree}").strip()
            pack = str(self.git_directory / "objects/pack/pack")
            self.run("pack-objects", "-q", pack, stdin=b"\n".join([top, *trees, b""]))

    def _copy_refs(self, settings: dict[str, str]) -> None:
        """HEAD, and all refs but those that replace objects, as one packed-refs file."""
        repository = self.repository
        if self.configuration.get("extensions.refstorage") not in (None, "files"):
            raise BangerError(
                Code.INCOMPATIBLE,
                f"the repository {printable(str(repository.top))} keeps its refs as "
                f"{printable(str(self.configuration.get('extensions.refstorage')), 40)}, "
                "which this version does not read",
            )
        view = self.git_directory / "view"
        _skeleton(view, settings, repository, self.head, repository.common_directory / "refs")
        copy_regular(repository.common_directory / "packed-refs", view / "packed-refs")
        git = GitProcess(self.cwd, {**self.environment, "GIT_DIR": str(view)})
        listed = git.attempt("for-each-ref", "--format=%(objectname) %(refname)")
        if listed.status or b"broken ref " + self.head.removeprefix(b"ref: ") in listed.stderr:
            raise git_error(listed, "for-each-ref", self.cwd)
        lines = [line for line in listed.stdout.splitlines(True) if b" refs/replace/" not in line]
        (self.git_directory / "packed-refs").write_bytes(PACKED_REFS_HEADER + b"".join(lines))
        shutil.rmtree(view)


def _skeleton(
    directory: Path,
    settings: dict[str, str],
    repository: Repository,
    head: bytes,
    refs: Path | None = None,
) -> None:
    """What makes a directory one of git's: HEAD, config, objects and refs."""
    directory.mkdir(mode=0o700)
    for name in ("info", "objects", "objects/info", "objects/pack"):
        (directory / name).mkdir()
    if refs is None:
        (directory / "refs").mkdir()
    else:
        (directory / "refs").symlink_to(refs)
    (directory / "HEAD").write_bytes(head + b"\n")
    (directory / "config").write_bytes(os.fsencode(config_text(settings)))
    objects = _quoted(os.fsencode(repository.common_directory / "objects"))
    (directory / "objects/info/alternates").write_bytes(objects + b"\n")


def _head_of(repository: Repository) -> bytes:
    """HEAD's one line. It may be a symlink to a ref, as git made it until 2005."""
    head = repository.git_directory / "HEAD"
    target = b"ref: " + os.fsencode(head.readlink()) if head.is_symlink() else b""
    found = target or read_start(head, 4096).split(b"\n")[0].rstrip()
    if not HEAD.fullmatch(found):
        raise BangerError(Code.INVALID, f"{printable(str(head))} names no branch and no commit")
    return found


def _quoted(path: bytes) -> bytes:
    """A line of ``alternates``: a path with a line break is quoted as in C."""
    if not any(byte in path for byte in (b"\n", b'"', b"\\")):
        return path
    escaped = path.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
    return b'"' + escaped + b'"'
