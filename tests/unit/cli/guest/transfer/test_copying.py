"""``vm cp`` as a whole; this machine's sh and tar are the guest's."""

import io
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.scripted.ssh_sessions import Guest, Server
from tests.unit.cli.conftest import CONTROL, Cli, by_ref, view
from tests.unit.cli.peer import Peer
from tests.waiting import eventually

Begin = Callable[..., Peer]


class Machine:
    """The guest: this machine, by the session server at the control socket of ``view``."""

    def __init__(self, cli: Cli) -> None:
        self._cli = cli
        self._guest: Guest | None = None
        self._server: Server | None = None
        self.be()

    def be(self, shell: str = "sh", **environment: str) -> None:
        """Answer with another login shell, or with other variables."""
        self.close()
        self._guest = Guest(shell, self._cli.env | environment)
        self._server = Server(str(self._cli.root / CONTROL), self._guest)

    def say(self, answer: bytes) -> None:
        """Answer every command with these bytes."""
        (self._cli.root / "answer").write_bytes(answer)
        shell = self._cli.root / "answering"
        shell.write_text(f"#!/bin/sh\nexec cat {self._cli.root}/answer\n")
        shell.chmod(0o755)
        self.be(str(shell))

    def close(self) -> None:
        if self._server and self._guest:
            self._server.close()
            self._guest.close()
            (self._cli.root / CONTROL).unlink()


@pytest.fixture
def machine(cli: Cli, peer: Begin) -> Iterator[Machine]:
    views = [view("web"), view("db", "ba9876543210")]
    for each in views:
        each["access"]["control"] = str(cli.root / CONTROL)
    peer({"vm.access": by_ref(*views)})
    made = Machine(cli)
    yield made
    made.close()


@pytest.fixture
def guest(cli: Cli, machine: Machine) -> Path:
    """A directory of the guest."""
    directory = cli.root / "guest"
    directory.mkdir()
    return directory


def tree(root: Path) -> Path:
    """A directory with one of everything that a copy keeps."""
    (root / "tree/a/b").mkdir(parents=True)
    (root / "tree/a/b/c").write_text("deep")
    (root / "tree/link").symlink_to("a/b/c")
    (root / "tree/to-directory").symlink_to("a")
    (root / "tree/dangling").symlink_to("/no/where")
    os.link(root / "tree/a/b/c", root / "tree/second-name")
    (root / "tree/odd\n name \udcff").write_text("odd")
    (root / "tree/-x").write_text("dash")
    with (root / "tree/holes").open("wb") as holes:
        holes.seek(8 << 20)
        holes.write(b"end")
        holes.truncate(16 << 20)
    (root / "tree/a/b/c").chmod(0o641)
    os.setxattr(root / "tree/a/b/c", "user.origin", b"\x00\xff here")
    os.utime(root / "tree/a/b/c", ns=(1, 1_600_000_000_123_456_789))
    os.utime(root / "tree/a", ns=(1, 1_500_000_000_987_654_321))
    (root / "tree/a").chmod(0o750)
    return root / "tree"


def facts(root: Path) -> dict[str, object]:
    """What a copy keeps of every file below ``root``."""

    def one(path: Path) -> object:
        info = path.lstat()
        if path.is_symlink():
            return path.readlink()
        shared = [stat.S_IMODE(info.st_mode), info.st_mtime_ns, os.listxattr(path)]
        return shared if path.is_dir() else [*shared, info.st_nlink, path.read_bytes()]

    return {str(path.relative_to(root)): one(path) for path in sorted(root.rglob("*"))}


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_tree_goes_in_comes_out_and_to_another_vm_with_all_that_it_has(
    cli: Cli, guest: Path
) -> None:
    made = tree(cli.root)
    assert cli("vm", "cp", "tree", f"web:{guest}/in").err == ""
    assert facts(guest / "in") == facts(made)
    assert cli("vm", "cp", f"web:{guest}/in", f"db:{guest}/other").err == ""
    assert facts(guest / "other") == facts(made)
    assert cli("vm", "cp", f"web:{guest}/other", "out").err == ""
    assert facts(cli.root / "out") == facts(made)
    holes = (cli.root / "out/holes").stat()
    assert holes.st_blocks * 512 < holes.st_size / 4
    assert (guest / "in/holes").stat().st_blocks * 512 < holes.st_size / 4
    assert not list(cli.root.rglob(".banger-*"))


@pytest.mark.parametrize("way", ["in", "out", "between"])
def test_where_a_copy_lands_is_the_same_whichever_side_is_a_vm(
    cli: Cli, guest: Path, way: str
) -> None:
    from_, to = {"in": ("", "web:"), "out": ("web:", ""), "between": ("web:", "db:")}[way]
    work = cli.root / "work"
    (work / "src/sub").mkdir(parents=True)
    (work / "src/f").write_text("new")
    (work / "file").write_text("file")
    (work / "to-src").symlink_to("src")
    (work / "full/src").mkdir(parents=True)
    (work / "full/old").write_text("old")
    (work / "to-full").symlink_to("full")
    (work / "full/clash").mkdir()
    (work / "clash").write_text("file")
    before = (work / "full").stat().st_mode

    def copy(*words: str) -> int:
        *sources, target = words
        ran = cli(
            "vm", "cp", *(f"{from_}{work}/{each}" for each in sources), f"{to}{work}/{target}"
        )
        return ran.status

    assert copy("file", "name") == 0
    assert (work / "name").read_text() == "file"
    assert copy("file", "name/") == 4
    assert copy("file", "no-such/") == 3
    assert copy("file", "no/such") == 3
    assert copy("src", "name") == 4
    assert copy("clash", "full") == 4
    assert copy("file/", "full") == 4
    assert copy("missing", "full") == 3
    assert copy("src", "new/") == 0
    assert sorted(path.name for path in (work / "new").iterdir()) == ["f", "sub"]
    assert copy("src/.", "merged") == 0
    assert copy("src/.", "full") == 0
    assert (work / "full/f").read_text() == "new"
    assert (work / "full").stat().st_mode == before
    assert copy("src", "to-full") == 0
    assert (work / "full/src/f").read_text() == "new"
    assert copy("to-src", "full") == 0
    assert (work / "full/to-src").is_symlink()
    assert copy("to-src/", "followed") == 0
    assert (work / "followed/f").read_text() == "new"
    assert copy("file", "src", "both") == 3
    (work / "both").mkdir()
    assert copy("file", "src/", "both") == 0
    assert (work / "both/src/f").read_text() == (work / "src/f").read_text()
    assert (work / "both/file").read_text() == "file"


def test_a_directory_that_exists_keeps_its_mode_and_times(cli: Cli, guest: Path) -> None:
    tree(cli.root)
    here = cli.root / "here"
    here.mkdir(mode=0o700)
    os.utime(here, ns=(1, 1_400_000_000_000_000_000))
    assert cli("vm", "cp", f"web:{cli.root}/tree/a/.", "here").status == 0
    assert stat.S_IMODE(here.stat().st_mode) == 0o700
    assert (here / "b/c").read_text() == "deep"


def test_a_file_replaces_what_a_link_to_a_file_leads_to_and_not_the_link(
    cli: Cli, guest: Path
) -> None:
    (cli.root / "new").write_text("new")
    for name in ("far", guest / "far"):
        (cli.root / name).write_text("old")
    for name in ("link", guest / "link"):
        (cli.root / name).symlink_to("far")
    assert cli("vm", "cp", "new", f"web:{guest}/link").status == 0
    assert cli("vm", "cp", f"web:{cli.root}/new", "link").status == 0
    assert (cli.root / "far").read_text() == (guest / "far").read_text() == "new"
    assert (cli.root / "link").is_symlink()
    assert (guest / "link").is_symlink()


def test_a_vm_without_a_path_is_no_source(cli: Cli) -> None:
    ran = cli("vm", "cp", "web:", ".")
    assert ran.status == 2
    assert "does not say what to copy" in ran.err


@pytest.mark.parametrize("side", ["host", "guest"])
def test_a_device_or_pipe_takes_the_content_and_keeps_its_mode(
    cli: Cli, guest: Path, side: str
) -> None:
    (cli.root / "f").write_text("content")
    pipe = cli.root / "pipe"
    os.mkfifo(pipe, 0o600)
    with os.fdopen(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), "rb") as end:
        words = ["f", f"web:{pipe}"] if side == "guest" else [f"web:{cli.root}/f", "pipe"]
        assert cli("vm", "cp", *words).status == 0
        assert end.read() == b"content"
    assert stat.S_IMODE(pipe.stat().st_mode) == 0o600
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("side", ["host", "guest"])
def test_a_device_or_pipe_is_left_out_and_said(cli: Cli, guest: Path, side: str) -> None:
    special = cli.root / "special"
    special.mkdir()
    os.mkfifo(special / "pipe")
    (special / "fine").write_text("fine")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(special / "socket"))
    words = ["special", f"web:{guest}"] if side == "host" else [f"web:{special}", str(guest)]
    ran = cli("vm", "cp", *words)
    assert ran.status == 2
    assert "pipe is neither a file" in ran.err
    assert "everything else was copied" in ran.err
    assert names(guest / "special") == ["fine"]
    alone = cli("vm", "cp", f"{words[0]}/pipe", words[1])
    assert alone.status == 2


def test_several_sources_and_patterns_go_into_a_directory(cli: Cli, guest: Path) -> None:
    for name in ("a.log", "b.log", ".c.log", "d"):
        (guest / name).write_text(name)
    (cli.root / "logs").mkdir()
    assert cli("vm", "cp", "--glob", f"web:{guest}/*.log", "logs").status == 0
    assert names(cli.root / "logs") == ["a.log", "b.log"]
    assert cli("vm", "cp", f"web:{guest}/d", f"web:{guest}/.c.log", "logs").status == 0
    assert len(names(cli.root / "logs")) == 4
    assert cli("vm", "cp", "--glob", f"web:{guest}/*.no", "logs").status == 3
    assert cli("vm", "cp", f"web:{guest}/*.log", "logs").status == 3


def test_a_tar_stream_goes_out_and_in_with_its_owners(cli: Cli, guest: Path) -> None:
    (guest / "s/t").mkdir(parents=True)
    (guest / "s/t/f").write_text("f")
    with cli.popen("vm", "cp", f"web:{guest}/s", "-", stdout=subprocess.PIPE) as process:
        out, _ = process.communicate(timeout=50)
    with tarfile.open(fileobj=io.BytesIO(out)) as archive:
        assert [name.removeprefix("./") for name in archive.getnames()] == ["s", "s/t", "s/t/f"]
    (guest / "back").mkdir()
    assert cli("vm", "cp", "-", f"web:{guest}/back", stdin=out).status == 0
    assert (guest / "back/s/t/f").read_text() == "f"
    assert cli("vm", "cp", "-", f"web:{guest}/none", stdin=out).status == 3
    assert cli("vm", "cp", "-", f"web:{guest}/back/s/t/f", stdin=out).status == 4
    assert cli("vm", "cp", f"web:{guest}/none", "-").status == 3


def test_json_says_what_was_copied(cli: Cli, guest: Path) -> None:
    (cli.root / "f").write_text("12345")
    ran = cli("vm", "cp", "f", f"web:{guest}", "-o", "json")
    told = json.loads(ran.out)
    assert told["sources"] == ["f"]
    assert (told["target"], told["files"], told["bytes"]) == (f"web:{guest}", 1, 5)


CAUSES = [
    ("ENAMETOOLONG", "invalid", "n" * 300),
    ("ENOENT", "not_found", "no/such"),
    ("EISDIR", "conflict", "full"),
    ("ENOTDIR", "conflict", "file/x"),
]


@pytest.mark.parametrize(("name", "code", "target"), CAUSES)
@pytest.mark.parametrize("side", ["host", "guest"])
def test_each_cause_has_its_code_on_either_side(
    cli: Cli, guest: Path, side: str, name: str, code: str, target: str
) -> None:
    (cli.root / "f").write_text("")
    (guest / "full/f").mkdir(parents=True)
    (guest / "file").write_text("")
    words = ["f", f"web:{guest}/{target}"]
    if side == "host":
        words = [f"web:{cli.root}/f", f"{guest}/{target}"]
    ran = cli("vm", "cp", *words, "-o", "json")
    error = json.loads(ran.err)["error"]
    assert error["code"] == code
    assert error["details"]["errno"] == name


def test_what_cannot_fit_is_refused_before_anything_is_copied(cli: Cli, guest: Path) -> None:
    fake = cli.root / "bin/df"
    fake.write_text("#!/bin/sh\necho head\necho /dev/x 1000000 990000 10000 99% /\n")
    fake.chmod(0o755)
    with (cli.root / "huge").open("wb") as huge:
        for _ in range(65):
            huge.write(bytes([1]) * (1 << 20))
    ran = cli("vm", "cp", "huge", f"web:{guest}", "-o", "json")
    assert ran.status == 1
    assert json.loads(ran.err)["error"]["code"] == "no_space"
    assert list(guest.iterdir()) == []


def test_a_guest_without_tar_is_told_apart(cli: Cli, machine: Machine, guest: Path) -> None:
    only = cli.root / "only"
    only.mkdir()
    (only / "sh").symlink_to("/bin/sh")
    machine.be(PATH=str(only))
    (cli.root / "f").write_text("")
    for words in (["f", f"web:{guest}"], [f"web:{cli.root}/f", str(guest)]):
        ran = cli("vm", "cp", *words, "-o", "json")
        assert json.loads(ran.err)["error"]["code"] == "missing_tool", ran.err


def test_a_user_that_the_guest_does_not_have_is_not_found(cli: Cli, guest: Path) -> None:
    (cli.root / "f").write_text("")
    for words in (["f", f"web:{guest}"], [f"web:{cli.root}/f", "got"], [f"web:{guest}", "-"]):
        ran = cli("vm", "cp", "-u", "no-such", *words)
        assert (ran.status, "no user 'no-such'" in ran.err) == (3, True), ran.err


def test_a_removed_current_directory_is_not_found(cli: Cli, guest: Path) -> None:
    (guest / "f").write_text("")
    here = cli.root / "gone"
    here.mkdir()
    command = f"cd gone && rmdir ../gone && exec {sys.executable} -m cli vm cp web:{guest}/f ."
    done = subprocess.run(
        ["sh", "-c", command], cwd=cli.root, env=cli.env, capture_output=True, check=False
    )
    assert done.returncode == 3, done.stderr


def member(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", data: bytes = b"evil"
) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, 0o6777
    info.size = len(data) if kind == tarfile.REGTYPE else 0
    return info.tobuf() + (data.ljust(512, b"\0") if info.size else b"")


D, S, H = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
N, P = tarfile.CHRTYPE, tarfile.FIFOTYPE
TREE = b"dir\0d\0" + member("d", D)
PLANTED = member("d/l/planted") + member("d/l", D) + member("d/l/kept")
UP = "../../outside"
HOSTILE: dict[str, Callable[[str], bytes]] = {
    "a name that was not asked for": lambda _: b"file\0.bashrc\0" + member(".bashrc"),
    "a name in the archive alone": lambda _: TREE + member(".bashrc"),
    "more files than one": lambda _: b"file\0d\0" + member("d") + member("d"),
    "a directory for a file": lambda _: b"file\0d\0" + member("d", D) + member("d/.bashrc"),
    "dots for a name": lambda _: b"dir\0..\0" + member("..", D),
    "a path for a name": lambda _: b"dir\0a/d\0" + member("a/d", D),
    "an absolute path": lambda outside: TREE + member(f"{outside}/planted"),
    "dots": lambda _: TREE + member(f"d/{UP}/planted"),
    "a link out": lambda outside: TREE + member("d/l", S, outside) + PLANTED,
    "a relative link out": lambda _: TREE + member("d/l", S, UP) + PLANTED,
    "a link for the directory": lambda outside: (
        b"dir\0d\0" + member("d", S, outside) + member("d/planted")
    ),
    "a hard link out": lambda outside: TREE + member("d/h", H, f"{outside}/kept") + member("d/h"),
    "a hard link by dots": lambda _: TREE + member("d/h", H, f"d/{UP}/kept") + member("d/h"),
    "a hard link by a link": lambda _: TREE + member("d/l", S, UP) + member("d/h", H, "d/l/kept"),
    "devices": lambda _: TREE + member("d/n", N) + member("d/p", P),
    "no end": lambda _: TREE,
    "an endless record": lambda _: b"x" * 100_000,
    "endless headers": lambda _: TREE + member("@", tarfile.GNUTYPE_LONGNAME) * 10_000,
    "escape sequences": lambda _: b"error\0\x1b]52;c;evil\x07\0",
    "nothing": lambda _: b"",
    "noise": lambda _: bytes(range(256)) * 100,
}


@pytest.mark.parametrize("attack", HOSTILE)
@pytest.mark.parametrize("there", ["nothing", "links"])
def test_a_hostile_guest_writes_nothing_outside_the_destination(
    cli: Cli, machine: Machine, attack: str, there: str
) -> None:
    outside, here = cli.root / "outside", cli.root / "here"
    outside.mkdir()
    here.mkdir()
    (outside / "kept").write_text("kept")
    if there == "links":
        (here / "d").mkdir()
        (here / "d/l").symlink_to(outside)
        (here / "n").symlink_to(outside / "kept")
    answer = HOSTILE[attack](str(outside))
    stream = answer if attack in ("no end", "nothing") else answer + bytes(1024) + b"done\0\0"
    machine.say(stream)
    ran = cli("vm", "cp", "web:/srv/d", "here")
    assert ran.status != 0, ran.err
    assert "Traceback" not in ran.err
    assert "\x1b" not in ran.err
    assert names(outside) == ["kept"]
    assert (outside / "kept").read_text() == "kept"
    assert (outside / "kept").stat().st_nlink == 1
    assert set(names(here)) <= {"d", "n"}
    for path in here.rglob("*"):
        mode = path.lstat().st_mode
        assert stat.S_ISDIR(mode) or stat.S_ISREG(mode) or stat.S_ISLNK(mode)
        assert not mode & (stat.S_ISUID | stat.S_ISGID)


def test_ctrl_c_leaves_no_half_file_and_no_process(cli: Cli, guest: Path) -> None:
    (cli.root / "old").write_text("old")
    (cli.root / "bin/tar").write_text('#!/bin/sh\n/bin/tar "$@" | head -c 70000; exec sleep 60\n')
    (cli.root / "bin/tar").chmod(0o755)
    (guest / "big").write_bytes(b"x" * 1_000_000)
    process = cli.popen("vm", "cp", f"web:{guest}/big", "old", stderr=subprocess.PIPE)
    eventually(lambda: list(cli.root.glob(".banger-*")), patience=20)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert not list(cli.root.glob(".banger-*"))
    assert (cli.root / "old").read_text() == "old"


def test_a_full_disk_is_told_by_the_name_that_the_user_knows(cli: Cli, guest: Path) -> None:
    (cli.root / "f").write_text("x" * 100)
    ran = cli("vm", "cp", "f", "web:/dev/full", "-o", "json")
    error = json.loads(ran.err)["error"]
    assert (error["code"], error["details"]["errno"]) == ("no_space", "ENOSPC")
    assert "/dev/full" in error["message"]
    assert "everything else" not in error["hint"]


def test_a_stream_that_nobody_reads_ends_quietly(cli: Cli, guest: Path) -> None:
    (guest / "big").write_bytes(bytes(3_000_000))
    with cli.popen(
        "vm", "cp", f"web:{guest}/big", "-", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.read(10)
        process.stdout.close()
        assert process.wait(20) in (0, 128 + signal.SIGPIPE, 1)
        assert process.stderr.read() == b""
