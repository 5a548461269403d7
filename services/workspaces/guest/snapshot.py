"""What runs in the guest to let a workspace out, and what it answers.

The answer is lines of a key and a value, an empty line, and one pack (gitformat-pack(5))::

    tree OID        the work tree, new files included and ignored ones not
    prepared OID    the tree that the host has placed; absent when the guest has lost it
    base OID        the tree of the commit that was prepared; absent without one
    head OID        the commit that is checked out; absent before the first one
    branch NAME     absent when HEAD is detached
    commits N       made since the commit that was prepared
    rewritten x     that commit is not in the branch any more
    left NAME       of a directory that git cannot take: a repository without commits

or the line ``refused KIND`` (``git``, ``path``, ``repository``, ``failed``) and the words of the
guest's git. The host takes none of it for granted (services/workspaces/incoming).

The tree has the host's blob, not the file's content, for each file of ``.git/banger/unconverted``
that is still as it was placed: the host's filter, such as Git LFS, has made it.
"""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path


class Sent(StrEnum):
    """Which objects the pack holds."""

    FILES = "files"
    """Those of the two trees that the prepared commit does not have."""
    COMMITS = "commits"
    """And the commits made since."""
    WHOLE = "whole"
    """The two trees, and the prepared commit's, as a host that has lost its own needs them."""


SNAPSHOT = (Path(__file__).parent / "snapshot.sh").read_text()


def snapshot_arguments(guest_path: str, base: str, sent: Sent = Sent.FILES) -> Sequence[str]:
    """Of the script: the workspace, and the commit that was prepared or ""."""
    return [guest_path, base, sent.value]
