"""``vm cp`` against scp over the same connection: 20 MB, and two hundred small files, each way.

An emulated guest deciphers 5 MB a second, so 20 MB take long enough.

Part of the benchmark ``machine``, whose VM it uses.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.harness.measure import Figure, paired
from tests.home import Home

RUNS = 3
BYTES = 20_000_000
FILES = 200
PEER = "scp -r -p over the same connection"


def copies(home: Home, vm: str, *, smoke: bool) -> list[Figure]:
    """What copies in and out of the running VM take."""
    runs, size, count = (1, 100_000, 3) if smoke else (RUNS, BYTES, FILES)
    with TemporaryDirectory(prefix="bgr") as directory:
        big, many, back = (Path(directory, name) for name in ("big", "many", "back"))
        big.write_bytes(os.urandom(size))
        many.mkdir()
        for number in range(count):
            (many / f"file-{number}").write_bytes(os.urandom(2000))
        home.banger("vm", "cp", str(big), str(many), f"{vm}:")
        megabytes = f"{size // 1_000_000} MB"
        ways = [
            (f"vm cp, {megabytes} in", str(big), "VM:/root/to-big"),
            (f"vm cp, {megabytes} out", "VM:/root/big", f"{back}-big"),
            (f"vm cp, {count} files in", str(many), "VM:/root/to-many"),
            (f"vm cp, {count} files out", "VM:/root/many", f"{back}-many"),
        ]
        return [_compared(home, vm, runs, *way) for way in ways]


def _compared(home: Home, vm: str, runs: int, name: str, source: str, target: str) -> Figure:
    scp = _scp(home, vm)

    def clear() -> None:
        home.banger("vm", "exec", vm, "--", "sh", "-c", "rm -rf /root/to-*")
        for path in (Path(target), Path(f"{target}-by-scp")):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    words = [word.replace("VM:", f"{vm}:") for word in (source, target)]
    measured, peer = paired(
        lambda: home.banger("vm", "cp", *words),
        lambda: scp(source, f"{target}-by-scp"),
        runs=runs,
        warm_up=0 if runs == 1 else 1,
        before=clear,
    )
    return Figure(name, "s", measured, peer, PEER, runs, bar=1.1)


def _scp(home: Home, vm: str) -> Callable[[str, str], None]:
    """scp over the connection that the supervisor holds; "VM:" begins a path in the VM."""
    shown = json.loads(home.banger("vm", "show", vm, "-o", "json").stdout)
    access = shown["access"]
    there = f"root@{access['host']}:"
    shared = ("-o", "ControlMaster=no", "-o", f"ControlPath={access['control']}")
    argv = ("scp", "-r", "-p", "-q", "-F", "/dev/null", "-P", str(access["port"]), *shared)

    def copy(source: str, target: str) -> None:
        words = [word.replace("VM:", there) for word in (source, target)]
        subprocess.run([*argv, *words], check=True, stdin=subprocess.DEVNULL)

    return copy
