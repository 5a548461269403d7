"""Creating, booting and deleting real machines leaves the services as they were.

``BANGER_GROWTH_BOOTS=20`` is the full number (docs/reliability.md); three show a leak of a
descriptor each just as well.
"""

import json
import os
from pathlib import Path

import pytest

from tests.home import BOOT_SECONDS, Home
from tests.waiting import eventually

BOOTS = int(os.environ.get("BANGER_GROWTH_BOOTS", "3"))
MORE_DESCRIPTORS, MORE_MIB = 2, 8
"""The spare supervisor and who asks; what an allocator keeps."""

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(BOOT_SECONDS * (BOOTS + 2))]


def resources(home: Home) -> dict[str, tuple[int, int]]:
    """Open descriptors and resident MiB of every service."""
    status = json.loads(home.banger("daemon", "status", "-o", "json").stdout)
    found = {}
    for service in status["services"]:
        process = Path(f"/proc/{service['pid']}")
        pages = int((process / "statm").read_text().split()[1])
        found[service["name"]] = len(list((process / "fd").iterdir())), pages * 4096 >> 20
    return found


def test_boots_leave_nothing_behind_in_any_service(home: Home) -> None:
    home.banger("vm", "run", "--rm", "--memory", "256M", "--", "true")  # pools and caches fill
    before = resources(home)
    for _ in range(BOOTS):
        home.banger("vm", "run", "--rm", "--memory", "256M", "--", "true")
    assert not home.vm_processes()
    assert not home.vm_files()

    def grown() -> dict[str, object]:
        after = resources(home)
        return {
            name: (was, after.get(name))
            for name, was in before.items()
            if after[name][0] > was[0] + MORE_DESCRIPTORS or after[name][1] > was[1] + MORE_MIB
        }

    eventually(lambda: not grown(), patience=10)
