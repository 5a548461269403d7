"""The services for jails, once for a module; each test has the VM to itself."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from services.vm_supervisor.guest import channel
from tests.contract.prison import DOWN, VM, Prison, make_vm, publish
from tests.home import REPOSITORY
from tests.integration.namespaces import Namespace
from tests.integration.users import ONE, TWO, new_users


@pytest.fixture(scope="session")
def tools() -> Path:
    """The directory of the pinned binaries; fetched once per machine."""
    done = subprocess.run([REPOSITORY / "scripts" / "firecracker"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


@pytest.fixture(autouse=True)
def no_guest_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection, since no guest of Firecracker's runs here."""
    monkeypatch.setattr(channel, "RESET_SECONDS", 0.05)


@pytest.fixture(scope="module")
def block(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prison]:
    """The services and nat, for all tests; each has the VM to itself."""
    with ExitStack() as cleanup:
        place = Namespace()
        cleanup.callback(place.close)
        one, two = cleanup.enter_context(new_users(place, ONE, TWO))
        shutil.copy(tools / "firecracker", one.host)  # where the user's own may be found
        one.configure(
            f'vmm = "firecracker"\nfirecracker_bin = "{one.host}/firecracker"\n'
            "[firecracker]\njailer = true\n[nat]\nexternal = true\n"
        )
        root = tmp_path_factory.mktemp("root")
        made = Prison(one, two, root, tools, root / "jails")
        made.configure_nat()
        for service in ("broker", "store"):
            one.start(service)
        made.start_nat()
        yield made


@pytest.fixture
def prison(block: Prison) -> Iterator[Prison]:
    """Fails when a test leaves something of a jail after the VM has stopped."""
    try:
        publish(block.one)
        make_vm(block)
        yield block
        for name in [name for name in block.one.stack.processes if name.startswith("vm:")]:
            block.one.stack.kill(name)  # a test that failed has left it
        if block.call("store", "vm.list")["vms"]:
            block.become(DOWN)
            block.expect_nothing_left()
            block.call("store", "vm.remove", id=VM)
        block.expect_nothing_left()
    finally:
        block.clear()
