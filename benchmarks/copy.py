"""``vm cp`` against scp over the same connection: 100 MB, and a thousand small files, each way."""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.harness.measure import Figure, paired
from benchmarks.harness.product import installed, settle
from tests.home import Home

VM = "bench"
RUNS = 7
BYTES = 100_000_000
FILES = 1000
PEER = "scp -r -p over the same connection"


def figures(*, smoke: bool) -> list[Figure]:
    runs, size, count = (1, 100_000, 3) if smoke else (RUNS, BYTES, FILES)
    with installed() as home, TemporaryDirectory(prefix="bgr") as directory, _vm(home):
        big, many = Path(directory, "big"), Path(directory, "many")
        big.write_bytes(os.urandom(size))
        many.mkdir()
        for number in range(count):
            (many / f"file-{number}").write_bytes(os.urandom(2000))
        if not smoke:
            settle(home, VM)
        scp = _scp(home)
        back = Path(directory, "back")
        home.banger("vm", "cp", str(big), str(many), f"{VM}:")
        return [
            _compared(
                home, scp, runs, f"vm cp, {size // 1_000_000} MB in", str(big), "VM:/root/to-big"
            ),
            _compared(
                home, scp, runs, f"vm cp, {size // 1_000_000} MB out", "VM:/root/big", f"{back}-big"
            ),
            _compared(home, scp, runs, f"vm cp, {count} files in", str(many), "VM:/root/to-many"),
            _compared(
                home, scp, runs, f"vm cp, {count} files out", "VM:/root/many", f"{back}-many"
            ),
        ]


@contextlib.contextmanager
def _vm(home: Home) -> Iterator[None]:
    home.banger("vm", "create", "--name", VM)
    try:
        yield
    finally:
        home.banger("vm", "delete", VM)


def _compared(
    home: Home, scp: Callable[[str, str], None], runs: int, name: str, source: str, target: str
) -> Figure:
    def clear() -> None:
        home.banger("vm", "exec", VM, "--", "sh", "-c", "rm -rf /root/to-*")
        for path in (Path(target), Path(f"{target}-by-scp")):
            if path.is_dir():
                shutil.rmtree(path)

    words = [word.replace("VM:", f"{VM}:") for word in (source, target)]
    measured, peer = paired(
        lambda: home.banger("vm", "cp", *words),
        lambda: scp(source, f"{target}-by-scp"),
        runs=runs,
        warm_up=0 if runs == 1 else 1,
        before=clear,
    )
    return Figure(name, "s", measured, peer, PEER, runs, bar=1.1)


def _scp(home: Home) -> Callable[[str, str], None]:
    """scp over the connection that the supervisor holds; "VM:" begins a path in the VM."""
    shown = json.loads(home.banger("vm", "show", VM, "-o", "json").stdout)
    access = shown["access"]
    there = f"root@{access['host']}:"
    shared = ("-o", "ControlMaster=no", "-o", f"ControlPath={access['control']}")
    argv = ("scp", "-r", "-p", "-q", "-F", "/dev/null", "-P", str(access["port"]), *shared)

    def copy(source: str, target: str) -> None:
        words = [word.replace("VM:", there) for word in (source, target)]
        subprocess.run([*argv, *words], check=True, stdin=subprocess.DEVNULL)

    return copy
