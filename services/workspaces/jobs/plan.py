"""``transfer.plan``: what a prepare would place in a guest, without a guest.

It reads the repository as a prepare does, by the same code, and refuses what a prepare would.
"""

from collections.abc import Iterator

from services.workspaces.jobs.choice import (
    MOST_SENTENCES,
    ChosenRepository,
    read_choice,
    with_submodules,
)
from services.workspaces.repository.history import history
from services.workspaces.repository.private_git import PrivateGit
from services.workspaces.repository.selection import Selection
from services.workspaces.tools.plan import needs_outside, plan_of
from shared.contract.messages.workspace import ToolWish, WorkspacePlan, WorkspacePlanRequest
from shared.errors import BangerError, Code
from shared.plain_text import printable
from shared.workers.job import JobContext


def run(request: WorkspacePlanRequest, context: JobContext) -> WorkspacePlan:
    """Raises what ``read_choice`` and ``history`` do, and ``denied`` for an ``output`` that cannot
    be written."""
    context.progress("read", "reading the repository")
    chosen = read_choice(request, context.directory)
    selection = chosen.selection
    paths = sorted(paths_of(selection))
    commits = _commits(chosen, full=request.full)
    tools, notices = _tools(request, selection)
    if request.output:
        _write_list(request.output, paths)
    parts = [one for _, one in with_submodules(selection)]
    return WorkspacePlan(
        host_path=str(selection.repository.top),
        guest_path=request.guest_path,
        mode="empty" if not selection.head else "full" if request.full else "shallow",
        commit=selection.head,
        branch=chosen.branch,
        commits=commits,
        files=len(paths),
        changed=sum(len(one.overlay) - len(one.unconverted) for one in parts),
        bytes=sum(one.overlay_bytes for one in parts),
        submodules=_submodules(selection),
        untracked=sum(one.untracked for one in parts),
        tools=tools,
        notices=chosen.notices + notices,
    )


def paths_of(selection: Selection) -> Iterator[bytes]:
    """All files that the guest gets, those of submodules included."""
    for below, one in with_submodules(selection):
        yield from (below + entry.path for entry in one.checkout)
        yield from (below + entry.path for entry in one.overlay)


def _commits(chosen: ChosenRepository, *, full: bool) -> int:
    """How many commits of the repository itself go in; those of submodules have to be there."""
    _require_histories(chosen.selection, full=full)
    return _count(chosen.git, chosen.selection, full=full)


def _require_histories(selection: Selection, *, full: bool) -> None:
    for submodule in selection.submodules:
        _count(submodule.git, submodule.selection, full=full)
        _require_histories(submodule.selection, full=full)


def _count(git: PrivateGit, selection: Selection, *, full: bool) -> int:
    return history(git, selection, full=full).commits if selection.head else 0


def _tools(request: WorkspacePlanRequest, selection: Selection) -> tuple[list[ToolWish], list[str]]:
    """What the bootstrap would install, and a notice when it cannot."""
    if not request.bootstrap:
        return [], []
    paths = (entry.path for entries in (selection.checkout, selection.overlay) for entry in entries)
    wishes = plan_of(selection.repository.top, paths)
    return wishes, [needs_outside(wishes)] if wishes and not request.outside else []


def _submodules(selection: Selection) -> list[str]:
    names = [
        printable(below.decode(errors="replace").rstrip("/"), 200)
        for below, _ in with_submodules(selection)
        if below
    ]
    more = len(names) - MOST_SENTENCES
    return names if more <= 0 else [*names[:MOST_SENTENCES], f"and {more} more"]


def _write_list(output: str, paths: list[bytes]) -> None:
    try:
        with open(output, "wb") as opened:
            opened.writelines(path + b"\0" for path in paths)
    except OSError as error:
        raise BangerError(
            Code.DENIED, f"cannot write to {printable(output)}: {error.strerror}"
        ) from None
