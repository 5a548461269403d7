"""A user's choice of what to prepare, read against the repository: what goes in, or why not.

Everything about the repository that is refused is refused here, before there is a VM, and by a plan
as by a prepare.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from services.workspaces.repository.commits import resolve_commit
from services.workspaces.repository.discovery import discover
from services.workspaces.repository.private_git import PrivateGit
from services.workspaces.repository.selection import Selection, select
from services.workspaces.repository.settings import CarriedSettings, carried_settings
from shared.contract.messages.workspace import WorkspaceChoice
from shared.errors import BangerError, Code
from shared.plain_text import printable

MOST_SENTENCES = 20
"""Of one kind, that notices hold."""


@dataclass
class ChosenRepository:
    git: PrivateGit
    selection: Selection
    branch: str
    """The guest's, a short name; empty for a detached HEAD."""
    settings: CarriedSettings
    notices: list[str] = field(default_factory=list)
    """Sentences for the user: what stays behind."""


def read_choice(
    choice: WorkspaceChoice, directory: Path, *, again: bool = False
) -> ChosenRepository:
    """The repository around ``choice.path`` and what of it goes in.

    ``directory`` gets the private git directory and must exist. ``again``: the branch may exist on
    the host by now. Raises ``invalid`` for a guest path or a branch that cannot be, ``conflict``
    for a branch that exists, ``not_found`` for a commit that does not, and what ``discover`` and
    ``select`` raise.
    """
    require_guest_path(choice.guest_path)
    if choice.start and not choice.branch:
        raise BangerError(Code.USAGE, "--from needs --branch: it says where that branch begins")
    git = PrivateGit(discover(choice.path), directory / "git")
    if choice.branch:
        _require_branch(git, choice.branch, again)
    base = resolve_commit(git, choice.start) if choice.start else ""
    selection = select(git, include_untracked=choice.include_untracked, base=base)
    settings = carried_settings(git.configuration)
    branch = choice.branch or selection.branch
    _require_text(str(git.repository.top), "the path of the repository", "move it")
    _require_text(branch, "the name of its branch", "give the guest another one with --branch")
    return ChosenRepository(git, selection, branch, settings, _notices(selection, settings))


def require_guest_path(path: str) -> None:
    """Raise ``invalid`` unless ``path`` is absolute, in its shortest form, and not the root."""
    parts = path.split("/")[1:]
    if (
        not path.startswith("/")
        or {"", ".", ".."} & set(parts)
        or not path.isprintable()
        or any(len(part.encode()) > 255 for part in parts)
    ):
        raise BangerError(
            Code.INVALID,
            f"the guest path {printable(path)} is not an absolute path in its shortest form",
            hint="give one such as /root/repo",
        )


def _require_text(name: str, what: str, hint: str) -> None:
    """Messages and records hold text, and names of git and of files may be any bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        message = f"{what} is not UTF-8: {printable(name)}"
        raise BangerError(Code.INVALID, message, hint=hint) from None


def with_submodules(selection: Selection, below: bytes = b"") -> Iterator[tuple[bytes, Selection]]:
    """A selection and those of its submodules, with the path in front of their files."""
    yield below, selection
    for submodule in selection.submodules:
        yield from with_submodules(submodule.selection, below + submodule.path + b"/")


def _require_branch(git: PrivateGit, branch: str, again: bool) -> None:
    name = f"refs/heads/{branch}"
    if branch.startswith("-") or branch == "HEAD" or git.attempt("check-ref-format", name).status:
        raise BangerError(
            Code.INVALID,
            f"{printable(branch)} is not a name for a branch",
            hint="git check-ref-format(1) has the rules",
        )
    if again:
        return
    listed = git.run("for-each-ref", "--format=%(refname)", "refs/heads").decode(errors="replace")
    for other in listed.splitlines():
        if other == name or other.startswith(f"{name}/") or name.startswith(f"{other}/"):
            existing = printable(other.removeprefix("refs/heads/"))
            raise BangerError(
                Code.CONFLICT,
                f"branch {printable(branch)} cannot be made: branch {existing} exists",
                hint="choose another name, or leave --branch out to use the one checked out",
            )


def _notices(selection: Selection, settings: CarriedSettings) -> list[str]:
    found: list[str] = []
    skipped: list[str] = []
    missing: list[str] = []
    untracked = 0
    for below, one in with_submodules(selection):
        place = printable(below.decode(errors="replace"), 200)
        untracked += one.untracked
        skipped += [f"in {place}: {said}" if place else said for said in one.skipped]
        missing += [
            place + printable(path.decode(errors="replace"), 200) for path in one.uninitialised
        ]
    if untracked:
        files = "file is" if untracked == 1 else "files are"
        found.append(f"{untracked} untracked {files} left out; --include-untracked takes them in")
    found += _first(skipped)
    found += _first([f"submodule {name} is left out: it is not initialised" for name in missing])
    if settings.secret_removed:
        found.append("the URL of origin goes in without what may be a password or a token")
    return found


def _first(sentences: list[str]) -> list[str]:
    more = len(sentences) - MOST_SENTENCES
    return sentences if more <= 0 else [*sentences[:MOST_SENTENCES], f"and {more} more of these"]
