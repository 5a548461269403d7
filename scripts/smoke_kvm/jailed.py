"""``python -m scripts.smoke_kvm.jailed``, in L1 as root: an ordinary user's VM in a jail.

Root runs ``nat`` for the user ``smoke`` and nothing else; services, supervisor and command are the
user's; Firecracker is nobody's but the jail's. What a second user may not is tried, too. Prints a
line per step and exits with 1 at the first that is not as it must be.
"""

import json
import os
import pwd
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.smoke_kvm.inside import USER, home
from scripts.smoke_kvm.parcel import DATA, VENV
from shared.vm.jail import SPAN

ROOTS_CONFIG = Path("/etc/banger/config.toml")
ROOTS = "nat.enabled = true\nfirecracker.jailer = true\n"
USERS = """\
boot_timeout = 150
nat.enabled = true
nat.external = true
firecracker.jailer = true
defaults.vcpu = 1
defaults.memory_mib = 512
"""
NAME = "jailed"
SECONDS = 240.0
NAT_SECONDS = 60.0


def main() -> int:
    user = pwd.getpwnam(USER)
    runtime = Path(f"/run/user/{user.pw_uid}")
    runtime.mkdir(parents=True, exist_ok=True)
    runtime.chmod(0o700)
    os.chown(runtime, user.pw_uid, user.pw_gid)
    _write(ROOTS_CONFIG, ROOTS)
    config = Path(home(USER)) / ".config" / "banger" / "config.toml"
    _as(USER, "mkdir", "-p", str(config.parent), str(runtime / "banger"))
    _as(USER, "chmod", "700", str(runtime / "banger"))
    _write(config, USERS)
    with _nat():
        _play()
    _check("nothing is left of the jail", not list(Path("/srv/banger-jail").glob("*/*/*")))
    print("jailed: as it must be")
    return 0


def _play() -> None:
    try:
        banger("vm", "run", "-d", "--name", NAME)
        shown = _show()
        uid = Path(f"/proc/{shown['pid']}").stat().st_uid
        _check(f"Firecracker runs as {uid}", uid in SPAN)
        _check("under Firecracker", shown["running_vmm"] == "firecracker")
        _check("in a chroot", not Path(f"/proc/{shown['pid']}/root/etc").exists())
        _check("its guest answers", _echo("hello"))
        _keep_out(shown)
        banger("vm", "restart", NAME)
        _check("and after a restart", _echo("again"))
        banger("vm", "kill", NAME)
        _check("killed", _show()["state"] == "stopped")
    finally:
        banger("vm", "delete", NAME)
        banger("daemon", "stop")


def _show() -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(banger("vm", "show", NAME, "-o", "json"))
    return shown


def _echo(word: str) -> bool:
    return banger("vm", "exec", NAME, "--", "echo", word) == f"{word}\n"


def _keep_out(shown: dict[str, Any]) -> None:
    """What another user of the machine may not."""
    state = Path(home(USER)) / ".local/state/banger"
    for path in (shown["access"]["key"], shown["access"]["control"], str(state)):
        done = subprocess.run(["runuser", "-u", "nobody", "--", "ls", path], capture_output=True)
        _check(f"{path} is closed to others", done.returncode != 0)
    signalled = ["runuser", "-u", "nobody", "--", "kill", "-0", str(shown["pid"])]
    done = subprocess.run(signalled, capture_output=True, check=False)
    _check("and so is its VMM", done.returncode != 0)


def banger(*words: str) -> str:
    """The user's command; what it prints. Exits when it fails."""
    began = time.monotonic()
    said = _as(USER, f"/{VENV}/bin/banger", *words)
    print(f"ok    {time.monotonic() - began:6.1f} s  banger {' '.join(words)}", flush=True)
    return said


def _as(user: str, *argv: str) -> str:
    uid = pwd.getpwnam(user).pw_uid
    environment = {
        "HOME": home(user),
        "PATH": os.environ["PATH"],
        "XDG_RUNTIME_DIR": f"/run/user/{uid}",
        "XDG_DATA_HOME": f"/{DATA.parent}",
        "BANGER_START_SECONDS": "120",
    }
    words = ["runuser", "-u", user, "--", *argv]
    done = subprocess.run(
        words,
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"jailed: {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@contextmanager
def _nat() -> Iterator[None]:
    """Root's part: one process, ended by its pid."""
    isolated = [f"/{VENV}/bin/python3", "-I", "-m", "banger"]
    argv = [*isolated, "services.nat", "--user", USER, "--data", f"/{DATA}"]
    with subprocess.Popen(argv, cwd="/") as nat:
        try:
            yield
        finally:
            nat.terminate()
            nat.wait(NAT_SECONDS)


def _check(what: str, holds: object) -> None:
    if not holds:
        sys.exit(f"jailed: NOT: {what}")
    print(f"ok              {what}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
