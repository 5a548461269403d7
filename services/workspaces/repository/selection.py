"""Which files of a repository go into a guest, and in which way."""

from dataclasses import dataclass, field

from services.workspaces.repository.discovery import Repository as Repository


@dataclass(frozen=True, slots=True)
class Entry:
    """One selected file."""

    path: bytes
    """Below the repository's top level, with slashes."""
    mode: int
    """0o100644, 0o100755 or 0o120000."""
    oid: str
    """Of the blob in the index; empty for an untracked file."""


@dataclass
class Submodule:
    path: bytes
    selection: "Selection"


@dataclass
class Selection:
    """Of one repository; its submodules have their own."""

    repository: Repository
    head: str = ""
    """The commit that is checked out; empty without one."""
    branch: str = ""
    """Its short name; empty when HEAD is detached."""
    checkout: list[Entry] = field(default_factory=list)
    """Files whose bytes are those of a blob in HEAD's tree: checked out in the guest."""
    overlay: list[Entry] = field(default_factory=list)
    """All other files: sent as they are in the work tree."""
    absent: list[bytes] = field(default_factory=list)
    """In HEAD's tree, and not in the work tree."""
    sparse: list[bytes] = field(default_factory=list)
    """Not in the work tree because the checkout is sparse: no deletions."""
    unconverted: list[Entry] = field(default_factory=list)
    """Those of ``overlay`` that git takes for unmodified, although a filter such as Git LFS made
    other bytes of them; ``oid`` is HEAD's blob."""
    untracked: int = 0
    """Untracked files that are left out."""
    skipped: list[str] = field(default_factory=list)
    """Sentences about what cannot go in."""
    submodules: list[Submodule] = field(default_factory=list)
