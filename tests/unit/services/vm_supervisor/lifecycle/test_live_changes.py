"""A new hostname in a running guest. The rest of a changed row: test_supervision.py."""

import asyncio
from pathlib import Path
from typing import cast

from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.lifecycle.live_changes import set_hostname
from shared.errors import BangerError, Code
from shared.logs import Log

HOSTS = b"127.0.0.1 localhost\n127.0.1.1 web.vm web\n192.0.2.1 mine\n"


class Guest:
    """The files of a guest, as its agent reads and writes them."""

    def __init__(self, *, mute: bool = False) -> None:
        self.files = {"/etc/hosts": HOSTS}
        self._mute = mute

    async def read_file(self, path: str, _deadline: float) -> bytes:
        return self.files[path]

    async def write_file(self, path: str, content: bytes, _deadline: float) -> None:
        if self._mute:
            raise BangerError(Code.TIMEOUT, "the agent does not answer")
        self.files[path] = content


def set_in(guest: Guest, log: Path) -> None:
    asyncio.run(set_hostname(cast(Agent, guest), "gamma", Log(log, "vm:0123456789ab")))


def test_name_and_own_line_of_hosts_change_and_nothing_else(tmp_path: Path) -> None:
    guest = Guest()
    set_in(guest, tmp_path / "log")
    assert guest.files == {
        "/proc/sys/kernel/hostname": b"gamma\n",
        "/etc/hostname": b"gamma\n",
        "/etc/hosts": b"127.0.0.1 localhost\n127.0.1.1 gamma.vm gamma\n192.0.2.1 mine\n",
    }


def test_a_guest_that_does_not_answer_is_told_of_in_the_log(tmp_path: Path) -> None:
    guest = Guest(mute=True)
    set_in(guest, tmp_path / "log")
    assert guest.files == {"/etc/hosts": HOSTS}
    assert "hostname not changed in the guest" in (tmp_path / "log").read_text()
