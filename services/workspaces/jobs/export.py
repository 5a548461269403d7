"""What a guest holds, written into a file of the user's; nothing in the guest changes."""

from dataclasses import dataclass
from typing import IO

from services.workspaces.guest.snapshot import Sent
from services.workspaces.incoming.archive import TreeArchive
from services.workspaces.incoming.changes import ChangeList, changes_between, tree_of
from services.workspaces.incoming.fetch import (
    GuestTree,
    fetch_alone,
    fetch_workspace,
    open_host,
)
from services.workspaces.incoming.gitlinks import gitlinks
from services.workspaces.incoming.patch import write_mailbox, write_patch
from services.workspaces.incoming.series import commit_series
from services.workspaces.repository.git_process import GitProcess
from shared.contract.messages.workspace import Exported, TransferExport
from shared.errors import BangerError, Code
from shared.host.files import is_full
from shared.plain_text import printable
from shared.workers.job import JobContext


@dataclass(frozen=True)
class _Compared:
    """One repository, and the tree that its files are compared with."""

    tree: GuestTree
    against: str


def run(request: TransferExport, context: JobContext) -> Exported:
    """Raises what ``fetch_workspace`` does, ``not_found`` for an unknown ``base``, ``conflict``
    when there are no commits to be had (``commit_series``)."""
    trees = _fetch(request, context)
    base, compared = _compared(request, trees)
    changes = ChangeList()
    for each in compared:
        changes.add(changes_between(each.tree.git, each.against, each.tree.tree), each.tree.prefix)
    exported = Exported(
        workspace=request.workspace,
        changes=changes.named,
        more=changes.more,
        commits=sum(tree.answer.commits for tree in trees),
        base=base,
        notices=[notice for tree in trees for notice in tree.notices],
    )
    if not request.since_prepare and not request.base and any(map(_has_host_edits, trees)):
        exported.notices.append(
            "it also holds what was not committed on the host when the workspace was prepared"
        )
    try:
        with open(request.output, "wb") as output:
            _write(request, compared, exported, output)
    except OSError as error:
        raise _not_written(request.output, error) from error
    return exported


def _fetch(request: TransferExport, context: JobContext) -> list[GuestTree]:
    access, workspace = request.target.access, request.workspace
    commits = request.format == "commits"
    try:
        git = open_host(workspace, context.directory)
    except BangerError as error:
        if commits or request.base:
            raise
        alone = fetch_alone(access, workspace, context.directory)
        alone.notices.insert(0, f"the host's repository was not used: {error.message}")
        return [alone]
    sent = Sent.COMMITS if commits else Sent.FILES
    return fetch_workspace(access, workspace, git, context.directory, sent)


def _compared(request: TransferExport, trees: list[GuestTree]) -> tuple[str, list[_Compared]]:
    """The commit that the export is against, and each repository's tree of it.

    A submodule's is what the repository around it names.
    """
    if request.since_prepare:
        return request.workspace.commit, [_Compared(tree, tree.placed) for tree in trees]
    top, *inner = trees
    base, against = request.workspace.commit, top.base_tree
    if request.base:
        base = _commit(top.git, request.base)
        against = tree_of(top.git, base)
    compared = [_Compared(top, against)]
    for tree in inner:
        outer = max(
            (each for each in compared if tree.prefix.startswith(each.tree.prefix)),
            key=lambda each: len(each.tree.prefix),
        )
        path = tree.prefix[len(outer.tree.prefix) : -1]
        named = gitlinks(outer.tree.git, outer.against).get(path, "")
        compared.append(_Compared(tree, _tree_at(tree, named)))
    return base, compared


def _tree_at(tree: GuestTree, commit: str) -> str:
    """Of a submodule, at a commit that the host may not have."""
    found = tree.git.attempt("rev-parse", "--quiet", "--verify", f"{commit}^{{tree}}")
    return found.stdout.decode().strip() or tree.base_tree


def _commit(git: GitProcess, revision: str) -> str:
    wanted = f"{revision}^{{commit}}"
    found = git.attempt("rev-parse", "--quiet", "--verify", "--end-of-options", wanted)
    if found.status:
        raise BangerError(
            Code.NOT_FOUND,
            f"the host's repository has no commit {printable(revision)}",
            hint="see: git log",
        )
    return found.stdout.decode().strip()


def _has_host_edits(tree: GuestTree) -> bool:
    changes = changes_between(tree.git, tree.base_tree, tree.placed, renames=False)
    return any(not change.of_repository for change in changes)


def _write(
    request: TransferExport, compared: list[_Compared], exported: Exported, output: IO[bytes]
) -> None:
    match request.format:
        case "patch":
            for each in compared:
                tree = each.tree
                exported.bytes += write_patch(
                    tree.git, each.against, tree.tree, output, tree.prefix
                )
        case "files":
            _write_files(compared, exported, output)
        case "commits":
            _write_commits(request, compared, exported, output)


def _write_files(compared: list[_Compared], exported: Exported, output: IO[bytes]) -> None:
    deleted = 0
    with TreeArchive(output) as archive:
        for each in compared:
            tree = each.tree
            changes = changes_between(tree.git, each.against, tree.tree, renames=False)
            deleted += archive.add(tree.git, changes, tree.prefix)
    exported.bytes = archive.size
    if deleted:
        exported.notices.append(
            f"{deleted} deleted file{'s are' if deleted > 1 else ' is'} not in the archive"
        )


def _write_commits(
    request: TransferExport, compared: list[_Compared], exported: Exported, output: IO[bytes]
) -> None:
    top, *inner = compared
    placed = top.against if request.since_prepare or request.base else ""
    series = commit_series(top.tree, placed)
    exported.commits = series.commits
    exported.bytes, returns = (0, False)
    if series.head != series.base:
        exported.bytes, returns = write_mailbox(top.tree.git, series.base, series.head, output)
    if returns:
        exported.notices.append("some lines end in CR LF: give git am the option --keep-cr")
    if any(_differs(each) for each in inner):
        exported.notices.append("changes in submodules are left out: export them as a patch")


def _differs(compared: _Compared) -> bool:
    return compared.against != compared.tree.tree


def _not_written(output: str, error: OSError) -> BangerError:
    code = Code.NO_SPACE if is_full(error) else Code.DENIED
    return BangerError(code, f"cannot write to {printable(output)}: {error.strerror}")
