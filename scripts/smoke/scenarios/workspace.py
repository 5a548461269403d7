"""Repositories: into a guest, and what was made there out again."""

from pathlib import Path

from scripts.smoke.case import Case
from scripts.smoke.expect import contains, equal, holds, lacks
from scripts.smoke.registry import Group, scenario

WORKSPACE = Group("workspace")

OURS = ("-c", "user.name=Ada", "-c", "user.email=ada@site.example")
THEIRS = "-c user.name=Guest -c user.email=guest@site.example"
GUEST_PATH = "/root/repo"


def _git(case: Case, where: Path, *words: str) -> str:
    return case.program("git", "-C", str(where), *words).out


def _repository(case: Case, name: str) -> Path:
    """Two commits, an edit that is not committed, an untracked and an ignored file."""
    top = case.directory / "repositories" / name
    (top / "src").mkdir(parents=True)
    _git(case, top, "init", "-q", "-b", "main")
    for number, text in enumerate(("one\n", "one\ntwo\nthree\nfour\nfive\n")):
        (top / "file").write_text(text)
        (top / "src" / "run.sh").write_text("#!/bin/sh\necho from the repository\n")
        (top / "src" / "run.sh").chmod(0o755)
        (top / ".gitignore").write_text("*.log\n")
        _git(case, top, "add", "-A")
        _git(case, top, *OURS, "commit", "-q", "-m", f"Change {number}")
    (top / "src" / "edited").write_text("staged\n")
    _git(case, top, "add", "src/edited")
    (top / "src" / "edited").write_text("edited since\n")
    (top / "untracked").write_text("left out\n")
    (top / "secret.log").write_text("left out\n")
    return top


def _state(case: Case, top: Path) -> str:
    """What git says of a repository, and what it says of each file."""
    status = _git(case, top, "--no-optional-locks", "status", "--porcelain", "-b")
    return status + _git(case, top, "for-each-ref") + _git(case, top, "reflog")


@scenario(WORKSPACE)
def workspace_run(case: Case) -> None:
    """``run PATH -- CMD``: tracked files as they are, the command's status, a patch afterwards."""
    top = _repository(case, "run")
    before = _state(case, top)
    script = "src/run.sh; cat src/edited; ls; echo six >>file; exit 5"
    done = case.banger("vm", "run", "--name", "place", "--no-bootstrap", str(top / "src"), "--",
                       "sh", "-c", script, status=5)  # fmt: skip
    equal("stdout", done.out, "from the repository\nedited since\nfile\nsrc\n")
    equal("where exec starts", case.inside("place", "pwd"), GUEST_PATH)
    patch = case.banger("vm", "workspace", "export", "place").out
    contains("the patch", patch, "+six")
    contains("the patch", patch, "+edited since")
    equal("the repository", _state(case, top), before)


@scenario(WORKSPACE)
def workspace_dry_run(case: Case) -> None:
    """``--dry-run`` names the files that would go in, and makes no VM."""
    top = _repository(case, "dry")
    done = case.banger("vm", "run", "--dry-run", str(top))
    _, _, files = done.out.partition("\n\n")
    equal("the files", files, ".gitignore\nfile\nsrc/edited\nsrc/run.sh\n")
    equal("VMs", case.names(), [])


@scenario(WORKSPACE)
def workspace_refusals(case: Case) -> None:
    """What is no repository, is bare or is not there: one line, and no VM."""
    bare = case.directory / "bare.git"
    _git(case, case.directory, "init", "-q", "--bare", str(bare))
    plain = case.directory / "plain"
    plain.mkdir()
    for path in (bare, plain, case.directory / "missing"):
        done = case.banger("vm", "run", "--rm", str(path), "--", "true", status=None)
        holds(f"{path.name} is refused", done.status in (1, 2, 3, 4))
        contains("stderr", done.err, "error: ")
    top = _repository(case, "refused")
    relative = ("--guest-path", "not/absolute")
    case.banger("vm", "run", "--rm", *relative, str(top), "--", "true", status=2)
    case.banger("vm", "run", "--rm", "--branch-from", "HEAD", str(top), "--", "true", status=2)
    equal("VMs", case.names(), [])


@scenario(WORKSPACE)
def workspace_round(case: Case) -> None:
    """Prepare, work and commit in the guest, look, export, and the patch makes the same tree."""
    top = _repository(case, "round")
    case.banger("vm", "workspace", "prepare", case.vm, str(top), "--no-bootstrap")
    case.inside(
        case.vm,
        f"""
        set -e; cd {GUEST_PATH}
        echo committed >committed; git add committed; git {THEIRS} commit -qm 'From the guest'
        head -c 50000 /dev/urandom >binary; chmod +x file; git mv src/run.sh run; rm src/edited
    """,
    )
    status = case.banger("vm", "workspace", "status", case.vm).out
    for name in ("committed", "binary", "src/edited"):
        contains("status", status, name)
    contains("diff", case.banger("vm", "workspace", "diff", case.vm).out, "+committed")
    patch = case.directory / "round.patch"
    case.banger("vm", "workspace", "export", case.vm, "-o", str(patch))
    clone = case.directory / "clone"
    _git(case, case.directory, "clone", "-q", str(top), str(clone))
    _git(case, clone, "apply", "--index", str(patch))
    index = "export GIT_INDEX_FILE=/root/repo/.git/smoke"
    tree = f"cd {GUEST_PATH}; cp .git/index .git/smoke; {index}; git add -A; git write-tree"
    equal("the tree", _git(case, clone, "write-tree").strip(), case.inside(case.vm, tree))
    case.banger("vm", "workspace", "export", case.vm, "--apply")
    equal("applied", (top / "committed").read_text(), "committed\n")
    holds("deleted here too", not (top / "src" / "edited").exists())
    _forget(case)


@scenario(WORKSPACE)
def workspace_sync(case: Case) -> None:
    """Later edits go in; what the guest has changed is not overwritten unless told."""
    top = _repository(case, "sync")
    case.banger("vm", "workspace", "prepare", case.vm, str(top), "--no-bootstrap")
    (top / "file").write_text("edited here\n")
    case.banger("vm", "workspace", "sync", case.vm)
    equal("there", case.inside(case.vm, "cat file"), "edited here")
    case.inside(case.vm, "echo by the guest >file")
    (top / "file").write_text("edited again\n")
    refused = case.banger("vm", "workspace", "sync", case.vm, status=4)
    contains("stderr", refused.err, "file")
    equal("untouched", case.inside(case.vm, "cat file"), "by the guest")
    case.banger("vm", "workspace", "sync", case.vm, "--force")
    equal("overwritten", case.inside(case.vm, "cat file"), "edited again")
    _forget(case)


@scenario(WORKSPACE)
def workspace_conflict(case: Case) -> None:
    """Both have edited a line: ``--apply`` names the file and touches nothing."""
    top = _repository(case, "conflict")
    case.banger("vm", "workspace", "prepare", case.vm, str(top), "--no-bootstrap")
    case.inside(case.vm, "sed -i 's/^two$/guest/' file; echo new >new")
    text = (top / "file").read_text().replace("two\n", "host\n")
    (top / "file").write_text(text)
    refused = case.banger("vm", "workspace", "export", case.vm, "--apply", status=4)
    contains("stderr", refused.err, "file")
    equal("the file", (top / "file").read_text(), text)
    holds("nothing new", not (top / "new").exists())
    (top / "file").write_text(text.replace("host\n", "two\n").replace("five\n", "host\n"))
    case.banger("vm", "workspace", "export", case.vm, "--apply")
    equal("both edits", (top / "file").read_text(), "one\nguest\nthree\nfour\nhost\n")
    equal("and the new file", (top / "new").read_text(), "new\n")
    _forget(case)


@scenario(WORKSPACE)
def run_with_export_and_apply(case: Case) -> None:
    """One line: in, a command that fails, the patch out and applied, no VM left."""
    top = _repository(case, "line")
    patch = case.directory / "line.patch"
    words = ("vm", "run", str(top), "--rm", "--no-bootstrap", "--export", str(patch), "--apply")
    case.banger(*words, "--", "sh", "-c", "echo made >made; exit 9", status=9)
    contains("the patch", patch.read_text(), "+made")
    equal("applied", (top / "made").read_text(), "made\n")
    equal("VMs", [name for name in case.names() if name != case.stack.shared], [])


@scenario(WORKSPACE)
def copy_of_a_workspace(case: Case) -> None:
    """In a copy of a machine that was prepared once: later edits in, changes of the guest out."""
    top = _repository(case, "copied")
    case.banger("vm", "workspace", "prepare", case.vm, str(top), "--no-bootstrap")
    case.banger("vm", "snapshot", "create", case.vm, "ready", "-q")
    run = ("vm", "run", "--rm", "--from", f"{case.vm}/ready")
    equal("its directory", case.banger(*run, "--", "pwd").out, f"{GUEST_PATH}\n")
    (top / "file").write_text((top / "file").read_text() + "later\n")
    words = (*run, str(top), "--no-bootstrap", "--", "tail", "-n1", "file")
    equal("a later edit", case.banger(*words).out, "later\n")
    case.banger(*run, "--apply", "--", "sh", "-c", "echo made >made")
    equal("what the copy has made", (top / "made").read_text(), "made\n")
    case.banger("vm", "snapshot", "restore", case.vm, "ready", "--yes")
    case.banger("vm", "workspace", "sync", case.vm)
    equal("and after a restore", case.inside(case.vm, f"tail -n1 {GUEST_PATH}/file"), "later")
    case.banger("vm", "snapshot", "delete", case.vm, "ready")
    _forget(case)


@scenario(WORKSPACE)
def two_repositories(case: Case) -> None:
    """Two workspaces of one VM: each by its path in the guest, each exported by itself."""
    for name in ("first", "second"):
        where = ("--guest-path", f"/srv/{name}", "--no-bootstrap")
        case.banger("vm", "workspace", "prepare", case.vm, str(_repository(case, name)), *where)
    case.inside(case.vm, "echo of the second >/srv/second/made")
    ambiguous = case.banger("vm", "workspace", "export", case.vm, status=None)
    holds("one has to be named", ambiguous.status)
    contains("stderr", ambiguous.err, "/srv/first")
    patches = [
        case.banger("vm", "workspace", "export", case.vm, "--guest-path", f"/srv/{name}").out
        for name in ("first", "second")
    ]
    lacks("the first's", patches[0], "of the second")
    contains("the second's", patches[1], "+of the second")
    listed = case.banger("vm", "list", "-o", "json").json
    places = {each["guest_path"] for vm in listed for each in vm["workspaces"]}
    holds("both are listed", {"/srv/first", "/srv/second"} <= places)


def _forget(case: Case) -> None:
    """The next scenario's repository is a first one again."""
    case.inside(case.vm, f"cd /; rm -rf {GUEST_PATH}")
