"""The first commands of every repository that a test makes, and an ordinary repository."""

import os
import subprocess
from pathlib import Path

AUTHOR = {
    "GIT_AUTHOR_NAME": "Ann Author",
    "GIT_AUTHOR_EMAIL": "ann@example.org",
    "GIT_AUTHOR_DATE": "2026-01-02T03:04:05+0100",
    "GIT_COMMITTER_NAME": "Carl Committer",
    "GIT_COMMITTER_EMAIL": "carl@example.org",
    "GIT_COMMITTER_DATE": "2026-01-02T03:04:05+0100",
}


def environment() -> dict[str, str]:
    """The same whatever the user who runs the tests has configured."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {
        **kept,
        **AUTHOR,
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_ALLOW_PROTOCOL": "file",
        "LC_ALL": "C",
    }


def git(where: Path, *arguments: str | bytes, stdin: bytes = b"", check: bool = True) -> bytes:
    """Standard output of git in ``where``."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=where,
        env=environment(),
        input=stdin,
        capture_output=True,
        check=False,
    )
    assert not check or done.returncode == 0, (arguments, done.stderr)
    return done.stdout


def write(top: Path, name: str | bytes, content: bytes | str = b"", mode: int = 0o644) -> Path:
    """A file below ``top``, with the directories that it needs."""
    path = top / os.fsdecode(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return path


def commit(top: Path, message: str = "a commit") -> str:
    """Commit all that git would add; the commit's name."""
    git(top, "add", "-A")
    git(top, "commit", "-q", "--allow-empty", "-m", message)
    return git(top, "rev-parse", "HEAD").decode().strip()


def empty(path: Path, *options: str) -> Path:
    """A repository without a commit, on branch main."""
    path.mkdir(parents=True, exist_ok=True)
    git(path, "init", "-q", "-b", "main", *options)
    return path


def ordinary(path: Path) -> Path:
    """Two commits, three files, nothing changed since."""
    empty(path)
    write(path, "README", "read me\n")
    write(path, "src/main.py", "print(1)\n", 0o755)
    commit(path, "first")
    write(path, "src/other.py", "print(2)\n")
    commit(path, "second")
    return path
