"""One repository: in by ``vm run PATH``, its tests, changes, a patch, the same tree again."""

import hashlib
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from scripts.real_repositories.sources import Project
from tests.home import Home

IMAGE = "workbench"
PACKAGES = ("make", "gcc", "libc6-dev", "perl", "python3", "python3-pytest", "python3-setuptools")
"""What the checks need in the guest, which has no way outside."""
PATIENCE = 1800.0
GUEST_PATH = "/root/repo"
OURS = ("-c", "user.name=Ada", "-c", "user.email=ada@site.example")

CHANGE = r"""
set -e
git config user.name Guest; git config user.email guest@site.example
first=$(git ls-files | sed -n 1p); last=$(git ls-files | tail -n 1)
printf 'a line of the guest\n' >>"$first"
git mv -- "$last" "moved by the guest"
git commit -qam 'Move a file, and add a line'
head -c 100000 /dev/urandom >added.bin
mkdir -p 'new folder'; printf '#!/bin/sh\n' >'new folder/script'; chmod +x 'new folder/script'
ln -s 'new folder/script' link
middle=$(git ls-files | sed -n 3p); rm -- "$middle"
"""
"""A commit, and what is not committed: text, a binary file, a script, a link, a deletion."""
TREE = f"""
cd {GUEST_PATH}; cp .git/index .git/of-the-trial; export GIT_INDEX_FILE=.git/of-the-trial
git add -A && git write-tree; rm .git/of-the-trial
"""


class Unequal(Exception):
    """A claim that did not hold."""


@dataclass
class Report:
    """What was seen of one repository; times are seconds."""

    project: str
    files: int
    bytes: int
    run: float = 0.0
    """``vm run PATH`` with the project's own check, boot included."""
    again: float = 0.0
    """A second prepare without a change."""
    export: float = 0.0
    patch_bytes: int = 0
    result: str = ""

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def trial(home: Home, project: Project, tree: Path, work: Path) -> Report:
    """Commit ``tree`` into git and take it through; ``result`` says what became of it."""
    commit(tree)
    files = git(tree, "ls-files", "-z").split("\0")[:-1]
    size = sum((tree / name).lstat().st_size for name in files)
    report = Report(f"{project.archive}/{project.name}", len(files), size)
    vm = f"trial-{project.name.lower()}"[:63]
    try:
        _through(home, project, tree, work, vm, report)
        report.result = "same tree"
    except (Unequal, AssertionError, subprocess.SubprocessError) as error:
        report.result = f"FAILED: {error}"
    finally:
        home.banger("vm", "delete", vm, check=False)
    return report


def _through(home: Home, project: Project, tree: Path, work: Path, vm: str, report: Report) -> None:
    edited = tree / git(tree, "ls-files", "-z").split("\0")[1]
    edited.chmod(edited.stat().st_mode | 0o200)
    with edited.open("a") as end:
        end.write("\n")  # an edit that is not committed goes in, too
    before = fingerprint(tree)
    sizes = ("--image", IMAGE, "--memory", "1G", "--no-bootstrap", "--name", vm)
    run = ("vm", "run", *sizes, str(tree), "--", "sh", "-c", project.check)
    began = time.monotonic()
    home.banger(*run, timeout=PATIENCE)
    report.run = time.monotonic() - began
    report.again = _seconds(
        home, "vm", "workspace", "prepare", vm, str(tree), "--no-bootstrap", "--force"
    )
    _inside(home, vm, f"cd {GUEST_PATH}; {CHANGE}")
    patch = work / f"{vm}.patch"
    report.export = _seconds(home, "vm", "workspace", "export", vm, "-o", str(patch))
    report.patch_bytes = patch.stat().st_size
    clone = work / f"{vm}-clone"
    # Linked objects would get the time of a git that writes the same ones in the clone.
    git(work, "clone", "-q", "--no-hardlinks", str(tree), str(clone))
    git(clone, "apply", "--index", "--whitespace=nowarn", str(patch))
    _equal("tree", git(clone, "write-tree").strip(), _inside(home, vm, TREE).strip())
    _equal("repository on the host", fingerprint(tree), before)
    home.banger("vm", "workspace", "export", vm, "--apply")
    git(tree, "add", "-A")
    _equal("tree after --apply", git(tree, "write-tree"), git(clone, "write-tree"))


def _equal(what: str, got: object, wanted: object) -> None:
    if got != wanted:
        raise Unequal(f"{what}: {got!r}, wanted {wanted!r}")


def _seconds(home: Home, *words: str) -> float:
    began = time.monotonic()
    home.banger(*words, timeout=PATIENCE)
    return time.monotonic() - began


def _inside(home: Home, vm: str, script: str) -> str:
    return home.banger("vm", "exec", vm, "--", "sh", "-c", script, timeout=PATIENCE).stdout


def commit(tree: Path) -> None:
    """All that the project's own .gitignore lets in."""
    git(tree, "init", "-q", "-b", "main")
    git(tree, "add", "-A")
    git(tree, *OURS, "commit", "-q", "-m", "As it was released")


def fingerprint(tree: Path) -> str:
    """Of each file, git's own included: path, mode, time of change and content."""
    found = hashlib.sha256()
    for path in sorted(tree.rglob("*")):
        status = path.lstat()
        found.update(f"{path} {status.st_mode:o} {status.st_mtime_ns}".encode())
        if path.is_symlink():
            found.update(str(path.readlink()).encode())
        elif path.is_file():
            found.update(path.read_bytes())
    return found.hexdigest()


def git(where: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", where, *words], check=True, stdout=subprocess.PIPE)
    return done.stdout.decode(errors="surrogateescape")
