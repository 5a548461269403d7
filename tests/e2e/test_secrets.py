"""What is secret stays where it belongs: a token of each kind goes through a whole session.

Meanwhile the arguments and environments of all processes are watched, and afterwards every file
that banger has written is searched, the VM's disks too.
"""

import os
import subprocess
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.vm import files
from tests import loopback
from tests.home import Home, close_home, make_home
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

KINDS = ("ignored", "password", "variable", "env_file", "synced", "canary")
MOST_LOOKS = 50
"""At each process: it gets its arguments and its environment soon after it has begun."""
PIECE = 1 << 20


class Watcher:
    """Looks for tokens in /proc, in a thread; ``seen`` has what it found: kind → command lines.

    The environment of a process that the test itself has started is the test's own.
    """

    def __init__(self, tokens: dict[str, bytes]) -> None:
        self.seen: dict[str, set[str]] = defaultdict(set)
        self._tokens = tokens
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        looks: dict[str, int] = {}
        while not self._over.wait(0.005):
            there = [name for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208
            looks = {name: looks.get(name, 0) + 1 for name in there}
            for name in there:
                if looks[name] > MOST_LOOKS:
                    continue
                try:
                    self._look(Path("/proc", name))
                except OSError:
                    continue  # it has ended meanwhile

    def _look(self, directory: Path) -> None:
        words = (directory / "cmdline").read_bytes()
        self._find(words, words)
        parent = (directory / "stat").read_bytes().rpartition(b")")[2].split()[1]
        if int(parent) != os.getpid():
            self._find((directory / "environ").read_bytes(), words)

    def _find(self, text: bytes, words: bytes) -> None:
        for kind, token in self._tokens.items():
            if token in text:
                self.seen[kind].add(words.replace(b"\0", b" ").decode(errors="replace"))


class Secrets:
    """A user with tokens in all the places where people have them."""

    def __init__(self, root: Path, home: Home) -> None:
        self.home = home
        self.tokens = {kind: f"{kind}-{os.urandom(12).hex()}" for kind in KINDS}
        self.own = root / "ada"
        self.project = self.own / "project"
        self.project.mkdir(parents=True)
        (self.own / ".netrc").write_text(f"machine x password {self.tokens['synced']}\n")
        (self.own / "variables").write_text(f"FROM_FILE={self.tokens['env_file']}\n")
        self._git("init", "-q", "-b", "main")
        url = f"https://ada:{self.tokens['password']}@git.example/project.git"
        self._git("remote", "add", "origin", url)
        (self.project / ".gitignore").write_text(".env\n")
        (self.project / ".env").write_text(f"TOKEN={self.tokens['ignored']}\n")
        (self.project / "README").write_text("first\n")
        self._git("add", ".")
        self._git("-c", "user.name=A", "-c", "user.email=a@example", "commit", "-qm", "First")
        (self.project / "README").write_text("second\n")

    def _git(self, *words: str) -> None:
        subprocess.run(["git", "-C", str(self.project), *words], check=True)

    def found_in(self, top: Path) -> dict[str, set[str]]:
        """kind → the files below ``top`` that hold its token."""
        found: dict[str, set[str]] = defaultdict(set)
        for path in top.rglob("*"):
            if path.is_relative_to(self.own) or path.is_symlink() or not path.is_file():
                continue
            for kind, token in self.tokens.items():
                if any(token.encode() in piece for piece in pieces(path)):
                    found[kind].add(path.name)
        return found


def pieces(path: Path) -> Iterator[bytes]:
    """What a file holds, without its holes, in pieces that overlap."""
    with path.open("rb") as file:
        at, size = 0, path.stat().st_size
        while at < size:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:
                return  # the rest is a hole
            file.seek(at)
            yield file.read(PIECE + 256)
            at += PIECE


@pytest.fixture
def secrets(images: None) -> Iterator[Secrets]:
    with tempfile.TemporaryDirectory(prefix="bgr") as directory:
        root = Path(directory)
        entry = '[[file_sync]]\nhost = "~/.netrc"\nguest = "~/.netrc"\n'
        extra = {"HOME": str(root / "ada")}
        home = make_home(root, loopback.configuration() + entry, extra=extra)
        yield Secrets(root, home)
        home.banger("vm", "delete", "s")
        close_home(home)


def test_secrets_are_in_no_argument_no_log_and_no_place_but_their_own(secrets: Secrets) -> None:
    home, tokens = secrets.home, secrets.tokens
    watcher = Watcher({kind: token.encode() for kind, token in tokens.items()})
    said = []
    try:
        with subprocess.Popen(["sh", "-c", "read x", tokens["canary"]], stdin=-1):
            eventually(lambda: watcher.seen["canary"])
        begin = ("vm run -d --name s", f"vm workspace prepare s {secrets.project}")
        looks = ("vm workspace sync s", "vm workspace status s", "vm workspace diff s")
        said += [home.banger(*line.split()) for line in (*begin, *looks)]
        script = 'test -n "$TOKEN" && test -n "$FROM_FILE" && echo third >>README && sync'
        with_variables = Home(home.root, {**home.environment, "TOKEN": tokens["variable"]})
        given = ("-e", "TOKEN", "--env-file", str(secrets.own / "variables"))
        said.append(with_variables.banger("vm", "exec", *given, "s", "--", "sh", "-c", script))
        patch = home.root / "patch"
        said.append(home.banger("vm", "workspace", "export", "s", "-o", str(patch)))
        asked = ("ops list -o json", "vm show s -o json", "vm list -o json", "vm logs s")
        said += [home.banger(*line.split()) for line in asked]
    finally:
        watcher.stop()
    assert "+third" in patch.read_text()
    assert set(watcher.seen) == {"canary"}, watcher.seen
    printed = "".join(done.stdout + done.stderr for done in said)
    assert [kind for kind, token in tokens.items() if token in printed] == []
    places = ("/root", "/etc", "/var", "/run", "/tmp")
    for kind, holders in (("ignored", ""), ("password", ""), ("synced", "/root/.netrc\n")):
        search = ("vm", "exec", "s", "--", "grep", "-rlsF", "-f", "-", *places)
        looked = home.banger(*search, stdin=tokens[kind].encode(), check=False)
        assert (kind, looked.stdout) == (kind, holders)
    assert secrets.found_in(home.root) == {"synced": {files.WORK_DISK}}
