"""One user's banger in directories of its own: for every layer of the tests, and the smoke suite.

Images and kernels are the user's (built once, read-only) or, for tests with scripted guests, the
home's own; configuration, state and run directory are always new.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from shared.paths import Paths
from tests.waiting import last_answer

BANGER = str(Path(sys.executable).with_name("banger"))
REPOSITORY = Path(__file__).parents[1]
BOOT_SECONDS = 180
"""A guest under emulation, on a machine that does other things too."""
ENDING_SECONDS = 15.0
"""What a process that is ending may take."""
MODULE_SECONDS = 20.0
NO_TEMPLATES = '\n[templates]\nlimit = "0"\n'
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Home:
    """One user's banger: directories, environment, and what is run in them."""

    root: Path
    environment: dict[str, str]
    prefix: tuple[str, ...] = ()
    """Words in front of the command, e.g. ``ip netns exec NAME``."""

    @property
    def paths(self) -> Paths:
        def directory(kind: str) -> Path:
            return Path(self.environment[f"XDG_{kind}_HOME"]) / "banger"

        return Paths(
            config=directory("CONFIG"),
            data=directory("DATA"),
            state=directory("STATE"),
            run=Path(self.environment["BANGER_RUN_DIR"]),
        )

    def configure(self, text: str) -> None:
        """Without a table of its own for templates, none are made: that would happen at any time
        after the first VM."""
        if "templates" not in text:
            text += NO_TEMPLATES
        self.paths.config.mkdir(parents=True, exist_ok=True)
        self.paths.config_file.write_text(text)

    # -- the command ------------------------------------------------------------------------

    def argv(self, *arguments: str) -> list[str]:
        return [*self.prefix, BANGER, *arguments]

    def banger(
        self, *arguments: str, stdin: bytes = b"", check: bool = True, timeout: float = BOOT_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run the command to its end. With ``check``, anything but 0 fails the test."""
        done = subprocess.run(
            self.argv(*arguments),
            input=stdin,
            capture_output=True,
            env=self.environment,
            timeout=timeout,
            check=False,
        )
        text = subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )
        if check:
            assert text.returncode == 0, f"{arguments}: {text.returncode}\n{text.stderr}"
        return text

    def start(self, *arguments: str, stdin: int = subprocess.DEVNULL) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self.argv(*arguments),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment,
        )

    # -- modules ----------------------------------------------------------------------------

    def run(self, *argv: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """``python -m argv...`` to its end."""
        return subprocess.run(
            [sys.executable, "-m", *argv],
            cwd=REPOSITORY,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=MODULE_SECONDS,
            check=False,
        )

    def spawn(self, *argv: str) -> "subprocess.Popen[bytes]":
        """``python -m argv...`` in the background; ``show_logs`` shows what it prints, too."""
        with (self.root / f"{argv[0]}.out").open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", *argv],
                cwd=REPOSITORY,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def show_logs(self) -> None:
        """Print what services and modules have said, for the report of a test that failed."""
        for path in sorted([*self.root.glob("*.out"), *self.paths.logs.glob("*")]):
            print(f"--- {path.name}\n{path.read_text(errors='replace')}")

    # -- what there is ----------------------------------------------------------------------

    def processes(self) -> dict[int, str]:
        """pid → command line of every process that belongs to this home."""
        return processes_of(self.paths.run)

    def vm_processes(self) -> dict[int, str]:
        """Those that only a VM has: VMM and ssh master."""
        return {
            pid: line
            for pid, line in self.processes().items()
            if "qemu-system" in line or line.startswith("ssh")
        }

    def vm_files(self) -> list[Path]:
        directories = (self.paths.run / "vms", self.paths.state / "vms")
        return [path for d in directories if d.exists() for path in d.iterdir()]

    def half_done(self) -> list[str]:
        """Sockets and temporary files: what only a living or a half-ended process has."""
        return [
            str(path)
            for path in self.root.rglob("*")
            if path.is_socket() or path.name.endswith(".tmp")
        ]


def make_home(
    root: Path,
    config: str = "",
    prefix: tuple[str, ...] = (),
    extra: Mapping[str, str] = NOTHING,
    *,
    shares_images: bool = True,
) -> Home:
    """Directories below ``root``, which must be short: sockets' paths are. ``extra`` is added to
    the environment. ``shares_images``: with those of the user who runs the tests."""
    own = {f"XDG_{kind.upper()}_HOME": str(root / kind) for kind in ("config", "state", "cache")}
    if shares_images:
        data = {"XDG_DATA_HOME": str(Paths.from_environment().data.parent)}
    else:
        data = {"XDG_DATA_HOME": str(root / "data"), "HOME": str(root)}
    run = {"BANGER_RUN_DIR": str(root / "run")}
    home = Home(root, {**os.environ, **own, **data, **run, **extra}, prefix)
    for name in ("config", "state", "cache"):
        (root / name).mkdir(parents=True)
    home.configure(config)
    return home


def close_home(home: Home) -> None:
    """Delete what is left, stop the services; then nothing may be left at all."""
    leftover_vms = home.banger("vm", "list", "-q").stdout.split()
    if leftover_vms:
        home.banger("vm", "delete", *leftover_vms)
    home.banger("daemon", "stop")
    leftovers = end_processes_of(home.paths.run)
    assert not leftovers, f"processes left behind: {leftovers}"
    assert not home.vm_files(), f"files left behind: {home.vm_files()}"
    assert not leftover_vms, f"VMs left behind: {leftover_vms}"


@contextmanager
def new_home(config: str = "") -> Iterator[Home]:
    """A home with nothing in it, for services that a ``Stack`` runs. Fails when a process, a
    socket or a temporary file is left at the end."""
    home = make_home(Path(tempfile.mkdtemp(prefix="bngr", dir="/tmp")), config, shares_images=False)
    try:
        yield home
    finally:
        processes = end_processes_of(home.paths.run)
        files = [] if processes else home.half_done()
        home.show_logs()
        shutil.rmtree(home.root)
    assert not processes, f"processes left behind: {processes}"
    assert not files, f"files left behind: {files}"


def processes_of(run: Path) -> dict[int, str]:
    """pid → command line of everything that runs with this run directory in its environment."""
    mark = f"BANGER_RUN_DIR={run}".encode()
    found = {}
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (directory / "environ").read_bytes().split(b"\0"):
                line = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found[int(directory.name)] = line
        except OSError:
            continue  # it ended while we looked, or is not ours to look at
    return {pid: line for pid, line in found.items() if line and pid != os.getpid()}


def end_processes_of(run: Path) -> dict[int, str]:
    """Those that have not ended by themselves after a moment; they are killed."""
    last_answer(lambda: not processes_of(run), patience=ENDING_SECONDS)
    left = processes_of(run)
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    last_answer(lambda: not processes_of(run), patience=ENDING_SECONDS)
    return left
