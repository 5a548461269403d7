"""``python -m tests.chaos --seed N --minutes M``: see docs/reliability.md.

The state directory is a small tmpfs in a mount namespace of the run's own, so that it can be
filled; everything else of the home is a short directory under /tmp.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.chaos.guests import Guests, IdleGuests
from tests.chaos.observe import processes
from tests.chaos.run import CONFIG, Bounds, Run, free_port
from tests.home import Home, make_home
from tests.scripted import shelf
from tests.waiting import last_answer

INSIDE = "BANGER_CHAOS_INSIDE"
"""Set in the environment of the process that has a mount namespace of its own."""
STATE_SIZE = "1500M"
"""What the guests write, and no more than a ballast file fills in a moment."""


def main() -> int:
    arguments = _parse()
    if INSIDE not in os.environ:
        return _inside_namespace()
    with tempfile.TemporaryDirectory(prefix="bgrc") as directory:
        port = free_port()
        real = arguments.guests == "real"
        home = make_home(Path(directory), CONFIG.format(port=port), shares_images=real)
        if not real:
            _script(home, port)
        home.paths.state.mkdir(parents=True)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={STATE_SIZE},mode=700", "chaos"]
        subprocess.run([*mount, str(home.paths.state)], check=True)
        try:
            return _run(arguments, home, port)
        finally:
            _close(home)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", allow_abbrev=False)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--faults", type=int, default=1_000_000, help="end after so many")
    parser.add_argument("--vms", type=int, default=4)
    parser.add_argument("--guests", choices=("real", "scripted"), default="real")
    parser.add_argument("--report", type=Path, help="write JSON to this file")
    return parser.parse_args()


def _inside_namespace() -> int:
    flags = ["-m"] if os.geteuid() == 0 else ["-m", "-r"]
    argv = ["unshare", *flags, "--propagation", "private", sys.executable, "-m", "tests.chaos"]
    done = subprocess.run([*argv, *sys.argv[1:]], env=os.environ | {INSIDE: "1"}, check=False)
    return done.returncode


def _script(home: Home, port: int) -> None:
    """Scripted VMMs instead of real ones (tests/scripted): hundreds of faults in some minutes."""
    qemu = shelf.install(home.root / "bin")
    home.environment.update(shelf.environment(home.root / "bin"))
    home.configure(f'qemu_bin = "{qemu}"\n' + CONFIG.format(port=port))
    shelf.stock(home.paths)


def _run(arguments: argparse.Namespace, home: Home, port: int) -> int:
    kind = Guests if arguments.guests == "real" else IdleGuests
    run = Run(home, port, arguments.seed, arguments.vms, kind)
    report = run.run(Bounds(arguments.minutes * 60, arguments.faults))
    print(report)
    if arguments.report:
        report.write(arguments.report)
    if not report.violations:
        return 0
    kept = Path(tempfile.gettempdir()) / f"chaos-{arguments.seed}-{os.getpid()}"
    ignored = shutil.ignore_patterns("*.ext4", "ballast", "id_ed25519", "host_key")
    shutil.copytree(home.paths.state, kept, ignore=ignored)
    again = f"make chaos SEED={arguments.seed} MINUTES={arguments.minutes:g}"
    print(f"seed {arguments.seed} failed; repeat it with: {again}\nlogs: {kept}")
    return 1


def _close(home: Home) -> None:
    """Whatever happened, no process and no mount outlives the run."""
    while left := processes(home):
        for process in left:
            os.kill(process.pid, signal.SIGKILL)
        last_answer(lambda: not processes(home), patience=1)
    # Lazily: a process that is killed needs a moment to give its files up.
    subprocess.run(["umount", "--lazy", str(home.paths.state)], check=False)


if __name__ == "__main__":
    sys.exit(main())
