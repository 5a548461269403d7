"""What a guest does with a selection, done on the host, to compare the outcome with the source."""

import os
import shutil
from pathlib import Path

from services.workspaces.repository.listing import SYMLINK
from services.workspaces.repository.selection import Entry, Selection
from tests.repositories.making import empty, git

RAW = "* -text -ident -filter -working-tree-encoding\n"


def place(selection: Selection, target: Path) -> Path:
    """Check out what is to be checked out, copy the rest from the work tree; submodules too."""
    format_option = f"--object-format={selection.repository.object_format}"
    empty(target, format_option)
    objects = selection.repository.common_directory / "objects"
    (target / ".git/objects/info/alternates").write_text(f"{objects}\n")
    (target / ".git/info/attributes").write_text(RAW)
    if selection.head:
        git(target, "read-tree", selection.head)
        names = b"".join(entry.path + b"\0" for entry in selection.checkout)
        git(target, "checkout-index", "-z", "--stdin", stdin=names)
    else:
        assert selection.checkout == []
    for entry in selection.overlay:
        _copy(selection.repository.top, target, entry)
    for submodule in selection.submodules:
        place(submodule.selection, target / os.fsdecode(submodule.path))
    return target


def _copy(source: Path, target: Path, entry: Entry) -> None:
    here, there = source / os.fsdecode(entry.path), target / os.fsdecode(entry.path)
    there.parent.mkdir(parents=True, exist_ok=True)
    if entry.mode == SYMLINK:
        there.symlink_to(here.readlink())
    else:
        shutil.copyfile(here, there, follow_symlinks=False)
        there.chmod(entry.mode & 0o777)
