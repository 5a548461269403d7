"""Real virtual machines through the real command, in directories of the test's own.

Whatever a test leaves behind fails it.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import loopback
from tests.home import Home, close_home, make_home
from tests.waiting import last_answer


@pytest.fixture(scope="session")
def images() -> None:
    """The default image and kernel, built once per machine."""
    with tempfile.TemporaryDirectory(prefix="bgr") as directory:
        home = make_home(Path(directory), loopback.configuration())
        home.banger("image", "build", "debian-bookworm", timeout=900)
        home.banger("kernel", "pull", "debian-bookworm", timeout=900)
        close_home(home)


@pytest.fixture(scope="module")
def shared_home(images: None) -> Iterator[Home]:
    """Services that the tests of one module share."""
    with tempfile.TemporaryDirectory(prefix="bgr") as directory:
        home = make_home(Path(directory), loopback.configuration())
        yield home
        close_home(home)


@pytest.fixture
def home(shared_home: Home) -> Iterator[Home]:
    """The shared services; a VM, a VM's process or a VM's file left behind fails the test."""
    yield shared_home
    vms = shared_home.banger("vm", "list", "-q").stdout.split()
    if vms:
        shared_home.banger("vm", "delete", *vms)
    last_answer(lambda: not shared_home.vm_processes(), patience=5)
    assert not vms, f"VMs left behind: {vms}"
    assert not shared_home.vm_processes(), "processes left behind"
    assert not shared_home.vm_files(), "files left behind"


@pytest.fixture(scope="module")
def vm(shared_home: Home) -> Iterator[str]:
    """A running VM for tests that only use it; they must not use ``home`` too."""
    shared_home.banger("vm", "run", "-d", "--name", "shared")
    yield "shared"
    shared_home.banger("vm", "delete", "shared")
