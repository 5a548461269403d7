"""Two VMs on one host, of which one is the attacker's, and what is measured of that host."""

import json
import os
import pty
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from shared.host.locks import holder
from shared.vm import files
from tests.home import Home, close_home, make_home

EVIL, VICTIM = "evil", "victim"
PROGRAM = Path(__file__).with_name("hostile.pl")
METADATA = ("169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200")
"""Where clouds tell a machine its secrets (product: link-local and metadata addresses)."""
PUBLIC = "93.184.215.14"
"""An address of the outside that a guest with NAT may reach."""
DESCRIPTORS = 1024
"""The soft limit of open files that most distributions give."""
CONFIG = """\
network = "{mode}"
auto_stop_stale_after = 3600.0
"""
WEB = """
import http.server
class Quiet(http.server.SimpleHTTPRequestHandler):
    log_message = lambda *_: None
http.server.ThreadingHTTPServer(("0.0.0.0", 80), Quiet).serve_forever()
"""
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Burden:
    """What a process of ours has cost at most: resident MiB (VmHWM of proc_pid_status(5))."""

    pid: int
    peak_mib: int


@dataclass
class Arena:
    """One home in a network namespace, with both VMs up."""

    home: Home
    mode: str
    ids: dict[str, str] = field(default_factory=dict)
    before: dict[str, Burden] = field(default_factory=dict)

    # -- the attacker -----------------------------------------------------------------------

    def act(self, *words: str, seconds: float = 40) -> str:
        """Do one act of hostile.pl in the attacker's guest; returns what it prints."""
        perl = ("perl", "/root/hostile.pl", *words)
        done = self.home.banger("vm", "exec", EVIL, "--", *perl, timeout=seconds)
        return done.stdout.strip()

    @property
    def gateway(self) -> str:
        return "10.0.2.2" if self.mode == "user" else "10.77.0.1"

    # -- the host ---------------------------------------------------------------------------

    def show(self, vm: str) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(self.home.banger("vm", "show", vm, "-o", "json").stdout)
        return shown

    def burdens(self) -> dict[str, Burden]:
        """Every process of ours by its name; supervisors by their VM's."""
        status = json.loads(self.home.banger("daemon", "status", "-o", "json").stdout)
        pids = {each["name"]: each["pid"] for each in status["services"]}
        for vm, vm_id in self.ids.items():
            places = self.home.paths.vm_state(vm_id), self.home.paths.vm_run(vm_id)
            held = [holder(place / files.LOCK) for place in places]
            pids[f"supervisor of {vm}"] = next(filter(None, held), None)
        return {name: Burden(pid, _peak_mib(pid)) for name, pid in pids.items() if pid}

    def kept_bytes(self, vm: str) -> dict[str, int]:
        """What each file of a VM takes on the disk, the guest's own disks excepted."""
        directory = self.home.paths.vm_state(self.ids[vm])
        found = [path for path in directory.iterdir() if path.is_file() and path.suffix != ".ext4"]
        return {path.name: path.stat().st_blocks * 512 for path in found}

    def bounded(self, *arguments: str, seconds: float) -> subprocess.CompletedProcess[str]:
        """A command that must have ended, however, after so many seconds."""
        started = time.monotonic()
        done = self.home.banger(*arguments, check=False, timeout=seconds + 20)
        took = time.monotonic() - started
        assert took < seconds, f"{arguments} took {took:.1f} s"
        assert "Traceback" not in done.stderr, done.stderr
        assert "please report it" not in done.stderr, done.stderr
        return done

    def on_a_terminal(self, *arguments: str) -> str:
        """What a command prints where its output is a terminal."""
        ours, theirs = pty.openpty()
        environment = {**self.home.environment, "TERM": "xterm-256color"}
        process = subprocess.Popen(
            self.home.argv(*arguments),
            stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        printed = b"".join(iter(partial(_read, ours), b""))
        os.close(ours)
        process.wait(timeout=30)
        return printed.decode("utf-8", "surrogateescape")


def obeyed(printed: str) -> set[str]:
    """The characters of ``printed`` that a terminal would not just show; colours are ours."""
    letters = set(COLOUR.sub("", printed)) - {"\r", "\n", "\t"}
    return {letter for letter in letters if not letter.isprintable()}


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the last process of the terminal has ended
        return b""


def _peak_mib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) >> 10


# -- made and unmade --------------------------------------------------------------------------


@contextmanager
def made_arena(mode: str) -> Iterator[Arena]:
    """Both VMs up, the attacker's with NAT and its program; fails when something is left."""
    with ExitStack() as cleanup:
        host, outside = cleanup.enter_context(_namespaces())
        server = cleanup.enter_context(
            subprocess.Popen(["ip", "netns", "exec", outside, sys.executable, "-c", WEB])
        )
        cleanup.callback(server.kill)
        directory = cleanup.enter_context(tempfile.TemporaryDirectory(prefix="bgr"))
        limited = ("prlimit", f"--nofile={DESCRIPTORS}:", "--")
        prefix = ("ip", "netns", "exec", host, *limited)
        home = make_home(Path(directory), CONFIG.format(mode=mode), prefix)
        cleanup.callback(close_home, home)
        arena = Arena(home, mode)
        try:
            _boot(arena)
            arena.ids = {vm: arena.show(vm)["id"] for vm in (EVIL, VICTIM)}
            arena.before = arena.burdens()
            yield arena
        finally:
            home.banger("vm", "delete", EVIL, VICTIM, check=False)


def _boot(arena: Arena) -> None:
    home = arena.home
    home.banger("daemon", "start")
    small = ("--memory", "384M", "--vcpu", "1")
    victim = home.start("vm", "run", "-d", "--name", VICTIM, *small)
    home.banger("vm", "run", "-d", "--name", EVIL, "--egress", "nat", *small)
    _, words = victim.communicate(timeout=120)
    assert victim.returncode == 0, words
    take = ("sh", "-c", "cat >/root/hostile.pl")
    home.banger("vm", "exec", EVIL, "--", *take, stdin=PROGRAM.read_bytes())


@contextmanager
def _namespaces() -> Iterator[tuple[str, str]]:
    """A host, and an outside that answers at a public address and as a cloud's metadata."""
    host, outside = (f"bgr{secrets.token_hex(3)}" for _ in range(2))
    with ExitStack() as cleanup:
        for name in (host, outside):
            _ip("netns", "add", name)
            cleanup.callback(_remove, name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", host, "link", "add", "uplink", "type", "veth", "peer", "cable", "netns", outside)
        for name, link, address in (
            (host, "uplink", "198.51.100.1/24"),
            (outside, "cable", "198.51.100.2/24"),
        ):
            _ip("-n", name, "address", "add", address, "dev", link)
            _ip("-n", name, "link", "set", link, "up")
        _ip("-n", host, "route", "add", "default", "via", "198.51.100.2")
        for address in (PUBLIC, *METADATA):
            _ip("-n", outside, "address", "add", f"{address}/32", "dev", "lo")
        yield host, outside


def _remove(namespace: str) -> None:
    pids = subprocess.run(
        ["ip", "netns", "pids", namespace], capture_output=True, check=True
    ).stdout
    _ip("netns", "delete", namespace)
    assert not pids, f"processes left in a namespace: {pids.decode().split()}"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
