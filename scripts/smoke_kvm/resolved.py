"""``python -m scripts.smoke_kvm.resolved``, in L1 as root: names by the system's own resolver.

L1 runs systemd-resolved, and bridge mode is used in L1's own network namespace, which is where a
user has it: a VM's name resolves for every program while it is up, and nothing of it stays. Prints
a line per step and exits with 1 at the first that is not as it must be.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scripts.smoke_kvm.parcel import DATA, VENV
from tests.waiting import last_answer

CONFIG = """\
network = "bridge"
nat.enabled = true
boot_timeout = 150
defaults.vcpu = 1
defaults.memory_mib = 512
"""
NAME = "resolved"
BRIDGE, GATEWAY = "br-banger", "10.77.0.1"
SECONDS = 240.0
GONE_SECONDS = 30.0


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="bgr") as directory:
        root = Path(directory)
        config = root / "config" / "banger" / "config.toml"
        config.parent.mkdir(parents=True)
        config.write_text(CONFIG)
        play(root)
    print("resolved: as it must be")
    return 0


def play(root: Path) -> None:
    _run("systemctl", "start", "systemd-resolved")
    # As Debian's package leaves it; our own init has put a file there.
    _run("ln", "-sf", "/run/systemd/resolve/stub-resolv.conf", "/etc/resolv.conf")
    try:
        _banger(root, "vm", "run", "-d", "--name", NAME)
        address = json.loads(_banger(root, "vm", "show", NAME, "-o", "json"))["address"]
        server, domains = _run("resolvectl", "dns", BRIDGE), _run("resolvectl", "domain", BRIDGE)
        _check("the bridge link has our server", GATEWAY in server)
        routes = {word for word in domains.split() if word.startswith("~")}
        _check("and only our names", routes == {"~vm", "~0.77.10.in-addr.arpa"})
        _check("getent finds the VM", address in _run("getent", "ahostsv4", f"{NAME}.vm"))
        _check("and its address its name", f"{NAME}.vm" in _run("resolvectl", "query", address))
        checks = json.loads(_banger(root, "doctor", "-o", "json"))
        (names,) = (check for check in checks if check["name"] == "names")
        _check("doctor says so", names["status"] == "PASS" and f"{NAME}.vm" in names["found"])
        _check("a name there is not is none", _status("getent", "ahostsv4", "no-such.vm") != 0)
    finally:
        _banger(root, "vm", "delete", NAME)
        gone = _link_goes()  # which is nat's work, so before it is stopped
        _banger(root, "daemon", "stop")
    _check("no link is left with it", gone)
    _check("the name is gone", _status("getent", "ahostsv4", f"{NAME}.vm") != 0)


def _link_goes() -> bool:
    return last_answer(
        lambda: _status("resolvectl", "dns", BRIDGE) != 0, patience=GONE_SECONDS, every=0.5
    )


def _banger(root: Path, *words: str) -> str:
    environment = {
        **os.environ,
        "XDG_CONFIG_HOME": str(root / "config"),
        "XDG_STATE_HOME": str(root / "state"),
        "BANGER_RUN_DIR": str(root / "run"),
        "XDG_DATA_HOME": f"/{DATA.parent}",
        "BANGER_START_SECONDS": "120",
    }
    began = time.monotonic()
    said = _run(f"/{VENV}/bin/banger", *words, environment=environment)
    print(f"ok    {time.monotonic() - began:6.1f} s  banger {' '.join(words)}", flush=True)
    return said


def _run(*argv: str, environment: dict[str, str] | None = None) -> str:
    """What it prints. Exits when it fails."""
    done = subprocess.run(
        argv, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    if done.returncode != 0:
        # Said at once: what is done on the way out may fail too, and would be all that is heard of.
        print(
            f"resolved: {' '.join(argv)}: {done.returncode}\n{done.stdout}{done.stderr}", flush=True
        )
        sys.exit(1)
    return done.stdout


def _status(*argv: str) -> int:
    return subprocess.run(argv, capture_output=True, timeout=SECONDS, check=False).returncode


def _check(what: str, holds: object) -> None:
    if not holds:
        sys.exit(f"resolved: NOT: {what}")
    print(f"ok              {what}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
