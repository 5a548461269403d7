"""What a database in the guest has acknowledged is there after a stop, and after a crash."""

import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
from pathlib import Path

import pytest

from shared.host.process import start_time
from tests.home import Home
from tests.waiting import eventually

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(400),
    pytest.mark.skipif(shutil.which("sqlite3") is None, reason="the host has no sqlite3 to lend"),
]

LENT = "/root/lent"
SQLITE = f"{LENT}/loader --library-path {LENT} {LENT}/sqlite3 /root/data.db"
ACKNOWLEDGED = "/root/acknowledged"
"""The number of the last row whose commit has returned, written and synced after it."""
WRITER = f"""
sql() {{ {SQLITE} "PRAGMA synchronous=FULL; $1"; }}
sql 'PRAGMA journal_mode=WAL; CREATE TABLE IF NOT EXISTS row(n)' >/dev/null
n=0
while n=$((n + 1)) && sql "INSERT INTO row VALUES ($n)"; do
    echo $n >{ACKNOWLEDGED}.new
    sync {ACKNOWLEDGED}.new
    mv {ACKNOWLEDGED}.new {ACKNOWLEDGED}
done
"""


def lend_sqlite(home: Home, name: str) -> None:
    """The host's sqlite3 with its loader and libraries: the image has no database of its own."""
    program = shutil.which("sqlite3")
    assert program
    listed = subprocess.run(["ldd", program], capture_output=True, check=True, text=True).stdout
    libraries = [word for word in listed.split() if word.startswith("/")]
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", dereference=True) as tar:
        tar.add(program, "sqlite3")
        for library in libraries:
            name_there = "loader" if "ld-linux" in library else Path(library).name
            tar.add(library, name_there)
    script = f"mkdir -p {LENT} && tar -C {LENT} -xf -"
    home.banger("vm", "exec", name, "--", "sh", "-c", script, stdin=archive.getvalue())


def inside(home: Home, name: str, script: str) -> str:
    return home.banger("vm", "exec", name, "--", "sh", "-c", script).stdout.strip()


def start_writer(home: Home, name: str) -> None:
    script = f"cat >{LENT}/writer; setsid sh {LENT}/writer >/dev/null 2>&1 </dev/null &"
    home.banger("vm", "exec", name, "--", "sh", "-c", script, stdin=WRITER.encode())


def acknowledged(home: Home, name: str) -> int:
    return int(inside(home, name, f"cat {ACKNOWLEDGED} 2>/dev/null || echo 0"))


def check(home: Home, name: str, at_least: int) -> None:
    assert inside(home, name, f"{SQLITE} 'PRAGMA integrity_check'") == "ok"
    rows = int(inside(home, name, f"{SQLITE} 'SELECT count(*) FROM row'"))
    assert rows >= at_least
    assert rows == int(inside(home, name, f"{SQLITE} 'SELECT max(n) FROM row'"))


def test_a_database_survives_a_stop_and_a_killed_vmm(home: Home) -> None:
    home.banger("vm", "run", "-d", "--name", "data", "--memory", "512M")
    lend_sqlite(home, "data")
    start_writer(home, "data")
    eventually(lambda: acknowledged(home, "data") >= 3, patience=120)
    before = acknowledged(home, "data")
    home.banger("vm", "stop", "data")
    home.banger("vm", "start", "data")
    check(home, "data", before)

    inside(home, "data", f"rm {ACKNOWLEDGED}; {SQLITE} 'DELETE FROM row'")
    start_writer(home, "data")
    eventually(lambda: acknowledged(home, "data") >= 3, patience=120)
    before = acknowledged(home, "data")
    pid = json.loads(home.banger("vm", "show", "data", "-o", "json").stdout)["pid"]
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: start_time(pid) is None, patience=10)
    home.banger("vm", "start", "data")
    check(home, "data", before)
    home.banger("vm", "delete", "data")
