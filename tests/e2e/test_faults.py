"""Bad input and bad luck: one clear line, a code, and nothing left behind."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import loopback
from tests.home import Home, close_home, make_home
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--vcpu", "0"], 2, "vcpu"),
        (["--vcpu", "100000"], 2, "vcpu"),
        (["--vcpu", "4000"], 2, "the most is"),
        (["--memory", "1M"], 2, "too small"),
        (["--memory", "900000G"], 2, "too large"),
        (["--disk-size", "-1G"], 2, "disk"),
        (["--name", "Not_A_Name"], 2, "name"),
        (["--name", "-x"], 2, "name"),
        (["--image", "no-such-image"], 3, "no-such-image"),
    ],
)
def test_an_invalid_spec_is_refused_and_leaves_nothing(
    home: Home, arguments: list[str], status: int, says: str
) -> None:
    done = home.banger("vm", "run", "--rm", *arguments, "--", "true", check=False)
    assert done.returncode == status, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert home.banger("vm", "list", "-q").stdout == ""


def test_a_taken_name_is_a_conflict(home: Home) -> None:
    home.banger("vm", "create", "--no-start", "--name", "once")
    done = home.banger("vm", "create", "--no-start", "--name", "once", check=False)
    assert done.returncode == 4
    assert "once" in done.stderr
    home.banger("vm", "delete", "once")


@pytest.fixture
def own_home(images: None, request: pytest.FixtureRequest) -> Iterator[Home]:
    """Services of the test's own, with the configuration given as parameter."""
    with tempfile.TemporaryDirectory(prefix="bgr") as directory:
        more = getattr(request, "param", "")
        home = make_home(Path(directory), f"{loopback.configuration()}{more}")
        yield home
        close_home(home)


def with_broken_image(home: Home, name: str, break_it: str) -> Home:
    """The same home with a library of its own that has this image, changed by ``break_it``.

    Other tests add and delete images of the user's library meanwhile, so no more of it is copied.
    """
    data = home.root / "data"
    for entry in (Path("images/by-name", name), Path("kernels/by-name/debian-bookworm")):
        original, copy = home.paths.data / entry, data / "banger" / entry
        copy.parent.mkdir(parents=True)
        copy.symlink_to(original.readlink())
        shutil.copytree(original, copy.parent / original.readlink())
    environment = {**home.environment, "XDG_DATA_HOME": str(data)}
    image = data / "banger/images/by-name" / name
    subprocess.run(["sh", "-c", break_it], cwd=image, check=True)
    return Home(home.root, environment, home.prefix)


@pytest.mark.parametrize("own_home", ["boot_timeout = 60.0"], indirect=True)
def test_a_guest_without_a_root_says_so_and_is_kept(own_home: Home) -> None:
    home = with_broken_image(
        own_home,
        "debian-bookworm",
        "chmod u+w rootfs.squashfs; dd if=/dev/zero of=rootfs.squashfs bs=4k count=1 conv=notrunc",
    )
    done = home.banger("vm", "run", "--rm", "--name", "broken", "--", "true", check=False)
    assert done.returncode == 1
    assert "broken" in done.stderr
    assert "cannot mount the image" in done.stderr
    assert "console.log" in done.stderr
    assert "banger vm delete broken" in done.stderr
    shown = json.loads(home.banger("vm", "show", "broken", "-o", "json").stdout)
    assert shown["state"] == "failed"
    assert not home.vm_processes()
    home.banger("vm", "delete", "broken")


@pytest.mark.parametrize("own_home", ["boot_timeout = 2.0"], indirect=True)
def test_an_agent_that_never_comes_is_given_up_at_the_deadline(own_home: Home) -> None:
    done = own_home.banger("vm", "run", "--name", "mute", "--", "true", check=False)
    assert done.returncode == 1
    assert "did not answer within 2 s" in done.stderr
    assert "banger vm delete mute" in done.stderr
    own_home.banger("vm", "delete", "mute")


def test_without_qemu_nothing_is_left(own_home: Home) -> None:
    tools = own_home.root / "bin"
    tools.mkdir()
    for directory in ("/usr/bin", "/usr/sbin", "/bin", "/sbin"):
        for tool in Path(directory).iterdir():
            if "qemu-system" not in tool.name and not (tools / tool.name).exists():
                (tools / tool.name).symlink_to(tool)
    environment = {**own_home.environment, "PATH": str(tools)}
    home = Home(own_home.root, environment, own_home.prefix)
    done = home.banger("vm", "run", "--", "true", check=False)
    assert done.returncode == 1
    assert "QEMU is not installed" in done.stderr
    assert home.banger("vm", "list", "-q").stdout == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_is_told_and_leaves_nothing(own_home: Home) -> None:
    state = own_home.paths.state
    state.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3M", "tmpfs", str(state)], check=True)
    try:
        done = own_home.banger("vm", "run", "--", "true", check=False)
        assert done.returncode == 1
        assert "space" in done.stderr
        assert own_home.banger("vm", "list", "-q").stdout == ""
        own_home.banger("daemon", "stop")
        eventually(lambda: not own_home.processes(), patience=10)
    finally:
        subprocess.run(["umount", str(state)], check=True)
