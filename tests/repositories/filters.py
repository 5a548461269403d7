"""A filter of the kind of Git LFS (https://git-lfs.com/spec/v1), as two shell scripts."""

from pathlib import Path

from tests.repositories.making import git, write

LFS_ATTRIBUTES = "*.bin filter=lfs diff=lfs merge=lfs -text\n"
CLEAN = """#!/bin/sh
set -e
store="{store}"
mkdir -p "$store"
cat > "$store/incoming"
sum=$(sha256sum < "$store/incoming" | cut -d' ' -f1)
size=$(wc -c < "$store/incoming")
mv "$store/incoming" "$store/$sum"
printf 'version https://git-lfs.github.com/spec/v1\\noid sha256:%s\\nsize %d\\n' "$sum" "$size"
"""
SMUDGE = """#!/bin/sh
cat "{store}/$(sed -n 's/^oid sha256://p')"
"""


def install_lfs(top: Path) -> None:
    """Name the filter in the configuration of the repository, as ``git lfs install --local``."""
    store = top / ".git/lfs"
    for name, script in (("clean", CLEAN), ("smudge", SMUDGE)):
        program = write(top, f".git/lfs-{name}", script.format(store=store), 0o755)
        git(top, "config", f"filter.lfs.{name}", f"'{program}'")
    git(top, "config", "filter.lfs.required", "true")
