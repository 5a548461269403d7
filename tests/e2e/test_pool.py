"""Two real VMs from the warm pool: they run at once, and are machines of their own."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import loopback
from tests.e2e.own_machines import assert_own_machines
from tests.e2e.test_lifecycle import show
from tests.home import Home, close_home, make_home
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

CONFIG = 'templates = { limit = "1G", quiet_seconds = 0, most_pressure = 100 }\n'
SIZE = ("--memory", "512M")
PATIENCE = 240.0


@pytest.fixture
def home(images: None) -> Iterator[Home]:
    with tempfile.TemporaryDirectory(prefix="bgr") as directory:
        home = make_home(Path(directory), CONFIG + loopback.configuration())
        yield home
        if left := home.banger("vm", "list", "-q").stdout.split():
            home.banger("vm", "delete", *left)
        close_home(home)


def ready(home: Home) -> None:
    """Return when a VM waits."""

    def waits() -> bool:
        shown = json.loads(home.banger("template", "list", "-o", "json").stdout)
        return any(each["pool"] for each in shown)

    eventually(waits, patience=PATIENCE, every=1.0)


def test_two_vms_of_the_pool_are_machines_of_their_own(home: Home) -> None:
    home.banger("vm", "run", "--rm", *SIZE, "--", "true")
    for name in ("one", "two"):
        ready(home)
        home.banger("vm", "run", "-d", "--name", name, *SIZE)
        assert show(home, name)["from_pool"]
    assert_own_machines(home, "one", "two")
    ready(home)
    done = home.banger(
        "vm", "run", "--rm", *SIZE, "--", "sh", "-c", "hostname; exit 42", check=False
    )
    assert done.returncode == 42
    assert "taking a VM that is ready" in done.stderr
    home.banger("vm", "delete", "one", "two")
    home.banger("daemon", "stop")
    eventually(lambda: not home.vm_processes())
    assert not home.vm_files()
