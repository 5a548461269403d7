"""Repositories for the tests, made by the real git: ordinary, nasty and hostile ones.

Each function takes a directory that it makes and owns, and returns the top level of the repository
in it (or at it). ``NASTY`` and ``HOSTILE`` name them all.
"""

from tests.repositories.fingerprint import fingerprint
from tests.repositories.hostile import HOSTILE
from tests.repositories.making import commit, empty, git, ordinary, write
from tests.repositories.nasty import NASTY
from tests.repositories.tracked import tracked_files

__all__ = [
    "HOSTILE",
    "NASTY",
    "commit",
    "empty",
    "fingerprint",
    "git",
    "ordinary",
    "tracked_files",
    "write",
]
