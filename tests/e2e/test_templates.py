"""A template of a real guest: made in the background, a month old, and what begins as its copy, at
once from the warm pool or in a second."""

import json
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from shared.contract.reference import by_id
from shared.vm import files
from tests import loopback
from tests.e2e.own_machines import assert_own_machines
from tests.e2e.test_lifecycle import show
from tests.home import Home, close_home, make_home
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

AT_ONCE = "\n[templates]\nquiet_seconds = 0\nmost_pressure = 100\n"
"""A template is made although tests keep the machine busy."""
SMALL = ("--memory", "512M")
MAKING_SECONDS = 240.0
NOTHING_LEFT = """
systemctl is-system-running
who
ls -d /tmp/ssh-* 2>/dev/null
journalctl -q --no-pager -n 1 -u ssh --grep 'Accepted publickey' --until '-2min'
test ! -p /run/banger/sshd_config || echo pipe
systemctl is-active timers.target
"""
"""Prints "running" and "active", and a line for everything that would be of the template."""


@pytest.fixture
def home(images: None) -> Iterator[Home]:
    with tempfile.TemporaryDirectory(prefix="bgr") as directory:
        home = make_home(Path(directory), loopback.configuration() + AT_ONCE)
        yield home
        if left := home.banger("vm", "list", "-q").stdout.split():
            home.banger("vm", "delete", *left)
        close_home(home)


def templates(home: Home) -> list[str]:
    return home.banger("template", "list", "-q").stdout.split()


def kept(home: Home) -> list[str]:
    """VMs that are in no list."""
    return [path.name for path in (home.paths.run / "vms").glob("*")]


def set_back(home: Home) -> bool:
    """Set the clock of the guest that is being made a template back by a month."""
    names = kept(home)
    if not names:
        return False
    clock = ("vm", "exec", by_id(names[0]), "--", "date", "-s", "-31 days")
    return home.banger(*clock, check=False).returncode == 0


def waits(home: Home) -> bool:
    """Whether a VM does, in the pool."""
    shown = json.loads(home.banger("template", "list", "-o", "json").stdout)
    return any(each["pool"] for each in shown)


def test_new_vms_begin_as_copies_of_a_template_and_boot_without_one(home: Home) -> None:
    assert home.banger("vm", "run", "--rm", *SMALL, "--", "true").returncode == 0
    eventually(lambda: set_back(home), patience=MAKING_SECONDS)
    assert home.banger("vm", "list", "-q").stdout == ""
    eventually(lambda: waits(home), patience=MAKING_SECONDS, every=1.0)
    (key,) = templates(home)

    # One of the pool and one of the template, each a machine of its own and of today.
    for name in ("one", "two"):
        home.banger("vm", "create", "--name", name, *SMALL)
    shown = {name: show(home, name) for name in ("one", "two")}
    assert {name: each["template"] for name, each in shown.items()} == {"one": key, "two": key}
    assert {name: each["from_pool"] for name, each in shown.items()} == {"one": True, "two": False}
    home.banger("vm", "fork", "two", "fork")  # at once: its sshd has only just begun
    assert_own_machines(home, "two", "fork")
    home.banger("vm", "delete", "fork")
    assert_own_machines(home, "one", "two")
    for name in ("one", "two"):
        eventually(partial(is_clean, home, name), patience=30)

    # A command in one of the pool.
    eventually(lambda: waits(home), patience=MAKING_SECONDS, every=1.0)
    done = home.banger(
        "vm", "run", "--rm", *SMALL, "--", "sh", "-c", "hostname; exit 42", check=False
    )
    assert done.returncode == 42
    assert "taking a VM that is ready" in done.stderr
    assert json.loads(home.banger("template", "show", key[:4], "-o", "json").stdout)["uses"] >= 3
    home.banger("vm", "delete", "one", "two")

    # Without the services nothing waits, and nothing is left.
    home.banger("daemon", "stop")
    eventually(lambda: not home.vm_processes())
    assert not home.vm_files()

    # A damaged one is of no use, and in nobody's way.
    with (home.paths.templates / key / files.MEMORY).open("r+b") as memory:
        memory.seek(1 << 20)
        memory.write(b"damage")
    home.banger("vm", "create", "--name", "three", *SMALL)
    assert show(home, "three")["template"] == ""


def is_clean(home: Home, name: str) -> bool:
    shown = home.banger("vm", "exec", name, "--", "sh", "-c", NOTHING_LEFT).stdout
    return shown.split() == ["running", "active"]
