"""Files of the user's home into a guest, which this machine plays."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from services.workspaces.jobs.files import LARGEST, run
from shared.contract.messages.workspace import FilesSent, Target, TransferFiles
from shared.contract.ssh_access import Access
from shared.errors import BangerError, Code
from shared.workers.job import JobContext
from tests.scripted.ssh_sessions import Guest, Server


class Pair:
    """The home of a user, and that of a guest's root."""

    def __init__(self, directory: Path) -> None:
        self.ours = directory / "ada"
        self.root = directory / "root"
        for each in (self.ours, self.root, directory / "config/banger"):
            each.mkdir(parents=True)
        self.config = directory / "config/banger/config.toml"
        self.progress: list[tuple[str, str]] = []
        self.guest = Guest(environment={**os.environ, "HOME": str(self.root)})

    def entry(self, host: str, guest: str) -> None:
        with self.config.open("a") as file:
            file.write(f'[[file_sync]]\nhost = "{host}"\nguest = "{guest}"\n')

    def put(self, name: str, content: bytes, mode: int = 0o600) -> Path:
        path = self.ours / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
        return path

    def send(self) -> FilesSent:
        with TemporaryDirectory(prefix="bngr") as directory:
            access = Access("h", 22, "/k", "/h", "id", f"{directory}/control")
            server = Server(access.control, self.guest)
            context = JobContext(Path(directory), lambda *said: self.progress.append(said))
            target = Target(vm_id="id", vm_name="web", access=access)
            try:
                return run(TransferFiles(target=target), context)
            finally:
                server.close()


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    made = Pair(tmp_path)
    monkeypatch.setenv("HOME", str(made.ours))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    yield made
    made.guest.close()


def test_without_an_entry_no_session_is_opened(pair: Pair) -> None:
    assert pair.send() == FilesSent(sent=0)
    assert not pair.guest.asked.is_set()


def test_files_arrive_with_their_modes_in_directories_of_roots_own(pair: Pair) -> None:
    pair.put(".netrc", b"machine x\n", 0o600)
    pair.put("bin/tool", b"#!/bin/sh\n" + bytes(100_000), 0o755)
    pair.entry("~/.netrc", "~/.netrc")
    pair.entry("~/bin/tool", "/root/.local/bin/tool")
    assert pair.send() == FilesSent(sent=2)
    assert (pair.root / ".netrc").read_bytes() == b"machine x\n"
    assert (pair.root / ".local/bin/tool").read_bytes() == (pair.ours / "bin/tool").read_bytes()
    modes = {
        name: stat.S_IMODE((pair.root / name).stat().st_mode)
        for name in (".netrc", ".local/bin/tool", ".local", ".local/bin")
    }
    assert list(modes.values()) == [0o600, 0o755, 0o700, 0o700]


def test_what_the_guest_has_there_is_replaced(pair: Pair) -> None:
    pair.put(".netrc", b"new")
    pair.entry("~/.netrc", "~/.netrc")
    (pair.root / "other").write_text("other")
    (pair.root / ".netrc").symlink_to("other")
    pair.send()
    assert not (pair.root / ".netrc").is_symlink()
    assert (pair.root / ".netrc").read_text() == "new"
    assert (pair.root / "other").read_text() == "other"


def test_what_cannot_be_sent_is_told_and_the_rest_is_sent(pair: Pair, tmp_path: Path) -> None:
    pair.put("good", b"1")
    os.truncate(pair.put("large", b""), LARGEST + 1)
    (pair.ours / "directory").mkdir()
    (tmp_path / "outside").write_text("of another")
    (pair.ours / "link").symlink_to(tmp_path / "outside")
    (pair.ours / "inner").symlink_to("good")
    (pair.ours / "loop").symlink_to("loop")
    os.mkfifo(pair.ours / "fifo")
    names = ("missing", "large", "directory", "link", "loop", "fifo", "inner", "good")
    for name in names:
        pair.entry(f"~/{name}", f"~/{name}")
    sent = pair.send()
    assert sent.sent == 2
    assert sorted(path.name for path in pair.root.iterdir()) == ["good", "inner"]
    assert (pair.root / "inner").read_bytes() == b"1"
    reasons = [notice.partition(",")[0].removeprefix("file_sync: ~/") for notice in sent.notices]
    assert reasons == [
        "missing is not there",
        "large has more than 16 MiB",
        "directory is no regular file",
        "link leads out of your home directory",
        "loop cannot be read (Too many levels of symbolic links)",
        "fifo is no regular file",
    ]
    assert sent.notices[0].endswith(", so the guest lacks it")


def test_a_guest_that_cannot_take_them_says_why_without_their_content(pair: Pair) -> None:
    pair.put("secret", b"token-4711" * 100_000)
    pair.entry("~/secret", "~/taken/secret")
    (pair.root / "taken").write_text("a file")
    with pytest.raises(BangerError, match="could not take the files of file_sync") as caught:
        pair.send()
    assert caught.value.code is Code.GUEST_FAILED
    assert "token-4711" not in repr(caught.value.to_wire()) + repr(pair.progress)


def test_a_full_disk_is_named(pair: Pair) -> None:
    pair.guest.environment["PATH"] = f"{pair.root}/bin:{os.environ['PATH']}"
    (pair.root / "bin").mkdir()
    (pair.root / "bin/tar").write_text(
        "#!/bin/sh\necho 'tar: x: No space left on device' >&2; exit 2\n"
    )
    (pair.root / "bin/tar").chmod(0o755)
    pair.put("file", b"1")
    pair.entry("~/file", "~/file")
    with pytest.raises(BangerError, match="disk is full") as caught:
        pair.send()
    assert caught.value.code is Code.NO_SPACE


def test_a_wrong_entry_is_refused_with_the_file_that_has_it(pair: Pair) -> None:
    pair.entry("/etc/shadow", "~/shadow")
    with pytest.raises(BangerError, match=r"config\.toml: file_sync\[0\]\.host") as caught:
        pair.send()
    assert caught.value.code is Code.INVALID
