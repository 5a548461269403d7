"""``python -m tests.chaos.restores --restores 100 --seed 1``: a database and random restores.

A program in the guest makes transfers between accounts, in transactions, and notes the last one
that was committed in memory. Snapshots are taken of it at any moment, and it is brought back to any
of them: with their memory, and now and then the disks alone, from which it boots. Each time the
database is whole, its sums are right, and memory and disk are of one moment. At the end the file
systems of both disks are checked.

The guest gets Debian's python3 for it, which apt-get downloads.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from shared.vm import files
from tests import loopback
from tests.home import Home, close_home, make_home

VM = "bank"
PACKAGES = (
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib"),
    *("libsqlite3-0", "libexpat1"),
)
MOST_SNAPSHOTS = 4
BOOTS = 0.08
"""The share of restores that take the disks alone."""
PAUSE_SECONDS = 0.4
"""The most between a restore and what comes next."""
ACCOUNTS = 10

WORKER = f"""
import os, random, sqlite3
database = sqlite3.connect("/root/bank.db", timeout=60, isolation_level=None)
database.executescript('''
    CREATE TABLE IF NOT EXISTS account (id INTEGER PRIMARY KEY, money INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY, of INTEGER, padding BLOB);
''')
for number in range({ACCOUNTS}):
    database.execute("INSERT OR IGNORE INTO account VALUES (?, 0)", (number,))
last = database.execute("SELECT coalesce(max(id), 0) FROM entry").fetchone()[0]
noted = os.open("/run/noted", os.O_RDWR | os.O_CREAT)
while True:
    os.pwrite(noted, b"%012d" % last, 0)
    last += 1
    giver, taker = random.sample(range({ACCOUNTS}), 2)
    database.execute("BEGIN IMMEDIATE")
    database.execute("INSERT INTO entry VALUES (?, ?, randomblob(400))", (last, giver))
    database.execute("UPDATE account SET money = money - ? WHERE id = ?", (last, giver))
    database.execute("UPDATE account SET money = money + ? WHERE id = ?", (last, taker))
    database.execute("COMMIT")
"""
CHECK = """
import json, sqlite3
noted = lambda: int(open("/run/noted").read())
before = noted()
database = sqlite3.connect("/root/bank.db", timeout=60)
ask = lambda words: database.execute(words).fetchone()[0]
database.execute("BEGIN")
found = {
    "last": ask("SELECT max(id) FROM entry"), "entries": ask("SELECT count(*) FROM entry"),
    "sum": ask("SELECT sum(money) FROM account"), "integrity": ask("PRAGMA integrity_check"),
}
print(json.dumps(found | {"before": before, "after": noted()}))
"""
START = (
    "setsid python3.11 /root/worker.py </dev/null >/run/worker.log 2>&1 & "
    "until [ -s /run/noted ]; do sleep 0.1; done"
)


class Bank:
    """The guest and its snapshots."""

    def __init__(self, home: Home, seed: int) -> None:
        self._home = home
        self._random = random.Random(seed)
        self._snapshots: list[str] = []
        self.done: Counter[str] = Counter()
        self.violations: list[str] = []

    @property
    def restores(self) -> int:
        return self.done["with memory"] + self.done["disks alone"]

    def open(self) -> None:
        """Make the guest, with the program at work."""
        self._home.banger("vm", "create", "--name", VM, "--memory", "256M", "--vcpu", "1")
        with tempfile.TemporaryDirectory() as directory:
            subprocess.run(["apt-get", "download", "-q", *PACKAGES], cwd=directory, check=True)
            place = Path(directory)
            (place / "worker.py").write_text(WORKER)
            (place / "check.py").write_text(CHECK)
            self._home.banger("vm", "cp", *map(str, place.iterdir()), f"{VM}:/root/")
        self._sh("dpkg -i --force-depends /root/*.deb >/dev/null && rm /root/*.deb")
        self._sh(START)

    def restore(self) -> None:
        """Perhaps another snapshot, then back to one of them."""
        if not self._snapshots or self._random.random() < 0.4:
            self._take()
        time.sleep(self._random.uniform(0.0, PAUSE_SECONDS))
        name = self._random.choice(self._snapshots)
        boots = self._random.random() < BOOTS
        disk = ["--disk"] if boots else []
        self._home.banger("vm", "snapshot", "restore", "--yes", *disk, VM, name)
        if boots:
            self._home.banger("vm", "start", VM)
            self._sh(START)
        self.done["disks alone" if boots else "with memory"] += 1
        where = f"{name}{' (disks alone)' if boots else ''}"
        print(f"{self.restores:4} {where}", flush=True)
        self.check(where)

    def _take(self) -> None:
        if len(self._snapshots) == MOST_SNAPSHOTS:
            old = self._snapshots.pop(self._random.randrange(MOST_SNAPSHOTS))
            self._home.banger("vm", "snapshot", "delete", VM, old)
        self.done["snapshots"] += 1
        self._snapshots.append(f"s{self.done['snapshots']}")
        self._home.banger("vm", "snapshot", "create", VM, self._snapshots[-1])

    def check(self, where: str) -> None:
        found = json.loads(self._sh("python3.11 /root/check.py"))
        self.done["transactions seen"] += found["last"]
        self.violations += [f"{where}: {words}" for words in wrong(found)]

    def close(self) -> None:
        """Stop the guest, and check its file systems."""
        self._home.banger("vm", "stop", VM)
        vm_id = json.loads(self._home.banger("vm", "show", VM, "-o", "json").stdout)["id"]
        for name in (files.OVERLAY, files.WORK_DISK):
            disk = self._home.paths.vm_state(vm_id) / name
            checked = subprocess.run(
                ["e2fsck", "-fn", disk], capture_output=True, text=True, check=False
            )
            if checked.returncode:
                self.violations.append(f"e2fsck of {name}: {checked.stdout}")
        self._home.banger("vm", "delete", VM)

    def _sh(self, script: str) -> str:
        return self._home.banger("vm", "exec", VM, "--", "sh", "-c", script, timeout=300).stdout


def wrong(found: dict[str, Any]) -> list[str]:
    """What is wrong with the answer of the guest. Pure.

    The last entry is at least that which memory knew of before the look, and at most one more than
    memory knew of afterwards: it is committed before it is noted.
    """
    told = []
    if found["integrity"] != "ok":
        told.append(f"the database is damaged: {found['integrity']}")
    if found["sum"] != 0:
        told.append(f"money came from nowhere: {found['sum']}")
    if found["entries"] != found["last"]:
        told.append(f"{found['entries']} entries, and the last is {found['last']}")
    if not found["before"] <= found["last"] <= found["after"] + 1:
        told.append(
            f"memory is at {found['before']} to {found['after']}, the disk at {found['last']}"
        )
    return told


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.restores", allow_abbrev=False)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--restores", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=60.0, help="end after so many")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bgrr") as directory:
        home = make_home(Path(directory), loopback.configuration())
        bank, began = Bank(home, arguments.seed), time.monotonic()
        try:
            bank.open()
            while not bank.violations and bank.restores < arguments.restores:
                if time.monotonic() - began > arguments.minutes * 60:
                    break
                bank.restore()
            bank.close()
        finally:
            close_home(home)
    seconds = time.monotonic() - began
    print(f"seed {arguments.seed}, {seconds:.0f} s: {dict(bank.done)}")
    print(f"violations: {len(bank.violations)}", *bank.violations, sep="\n")
    return 1 if bank.violations else 0


if __name__ == "__main__":
    sys.exit(main())
