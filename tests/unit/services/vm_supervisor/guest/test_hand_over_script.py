"""guest/rootfs/hand_over in a scratch root: what a guest that has waited gets with its user."""

from pathlib import Path

import pytest

from tests.scripted.scratch_guest import ScratchGuest

BEFORE = "hostname=0123456789ab\nmac=02:00:00:00:00:01\nresolvers='10.0.3.3 10.0.3.4'\n"
AFTER = BEFORE.replace("0123456789ab", "web")


@pytest.fixture
def guest(tmp_path: Path) -> ScratchGuest:
    return ScratchGuest(tmp_path, BEFORE)


@pytest.mark.parametrize("times", [1, 2])
def test_guest_gets_name_entropy_and_time_and_nothing_else(guest: ScratchGuest, times: int) -> None:
    for _ in range(times):
        done = guest.run("hand_over", b"MESSAGE", name="web")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert guest.read("etc/hostname") == guest.read("proc/sys/kernel/hostname") == "web\n"
    assert guest.read("etc/hosts") == "127.0.0.1 localhost\n127.0.1.1 web.vm web\n"
    for place in ("run/initramfs/banger", "run/banger"):
        assert guest.read(f"{place}/identity") == AFTER
        assert guest.read(f"{place}/host_key") == "OLD KEY\n"
    assert guest.read("etc/machine-id") == "1" * 32 + "\n"
    assert guest.noted == ["adjust /dev/random"] * times
    assert guest.read("message") == "MESSAGE"


def test_guest_whose_pool_cannot_be_renewed_is_not_handed_over(guest: ScratchGuest) -> None:
    guest.write("run/initramfs/bin/adjust", "#!/bin/sh\nexit 1\n").chmod(0o755)
    done = guest.run("hand_over", b"MESSAGE", name="web")
    assert done.returncode == 1
    assert "random pool" in done.stderr
    assert guest.read("etc/hostname") == "old\n"
