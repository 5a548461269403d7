"""Bridge mode: what a VM publishes is held by its supervisor. User mode: tests/integration."""

import asyncio
import errno
import os
import socket
from pathlib import Path
from typing import cast

import pytest

from services.vm_supervisor.drivers.contract import Machine
from services.vm_supervisor.network.host_ports import bind
from services.vm_supervisor.ports.publishing import PublishedPorts
from shared.contract.messages.vm import Publication
from shared.contract.ssh_access import Access
from shared.errors import BangerError, Code
from shared.logs import Log
from shared.vm.handle import Handle, read_handle
from tests.loopback import OWN_ADDRESS

HOST = OWN_ADDRESS


class Firecracker:
    """A machine without a network of its own."""

    user_network = None


MACHINE = cast(Machine, Firecracker())


def port(number: int) -> Publication:
    return Publication(host_address=HOST, host_port=number, guest_port=80)


def handle() -> Handle:
    access = Access(host="10.77.0.2", port=22, key="k", known_hosts="h", alias="a", control="c")
    return Handle(
        vm_id="0123456789ab",
        host_boot="b",
        pid=1,
        start_time=1,
        vmm="firecracker",
        accel="kvm",
        access=access,
    )


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "log", "vm:0123456789ab")


def is_free(number: int) -> bool:
    try:
        bind("tcp", HOST, number).close()
    except BangerError:
        return False
    return True


def test_ports_are_held_from_before_the_vmm_until_it_has_ended(tmp_path: Path, log: Log) -> None:
    publishing = PublishedPorts("bridge", tmp_path, log)
    publishing.reserve([port(8001)])
    assert not is_free(8001)
    asyncio.run(publishing.begin(MACHINE, handle()))
    assert not is_free(8001)
    publishing.release()
    assert is_free(8001)


def test_when_one_cannot_be_had_none_is_held(tmp_path: Path, log: Log) -> None:
    publishing = PublishedPorts("bridge", tmp_path, log)
    with socket.create_server((HOST, 8002)):
        with pytest.raises(BangerError) as refused:
            publishing.reserve([port(8001), port(8002)])
        assert refused.value.code is Code.CONFLICT
        assert is_free(8001)


def test_what_is_wanted_from_now_on_is_all_or_nothing(tmp_path: Path, log: Log) -> None:
    before, wanted = [port(8001)], [port(8002)]
    publishing = PublishedPorts("bridge", tmp_path, log)
    publishing.reserve(before)
    asyncio.run(publishing.begin(MACHINE, handle()))
    with socket.create_server((HOST, 8003)), pytest.raises(BangerError):
        asyncio.run(publishing.change(before, [*wanted, port(8003)], handle()))
    assert [is_free(number) for number in (8001, 8002)] == [False, True]
    asyncio.run(publishing.change(before, wanted, handle()))
    assert [is_free(number) for number in (8001, 8002)] == [True, False]
    publishing.release()


def test_a_successor_takes_them_again_and_does_without_one_that_went(
    tmp_path: Path, log: Log
) -> None:
    row = [port(8001), port(8002)]
    publishing = PublishedPorts("bridge", tmp_path, log)
    with socket.create_server((HOST, 8001)):
        asyncio.run(publishing.take_over(MACHINE, handle(), row))
        assert not is_free(8002)
    assert f"{HOST}:8001:80/tcp" in (tmp_path / "log").read_text()
    asyncio.run(publishing.change(row, [], handle()))
    assert is_free(8002)
    kept = read_handle(tmp_path)
    assert kept
    assert kept.publish == []  # the VMM holds none


def test_a_full_run_directory_neither_ends_a_successor_nor_a_change(
    tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    publishing = PublishedPorts("bridge", tmp_path, log)
    monkeypatch.setattr(os, "fsync", full)
    asyncio.run(publishing.take_over(MACHINE, handle(), [port(8001)]))
    asyncio.run(publishing.change([port(8001)], [port(8002)], handle()))
    assert [is_free(number) for number in (8001, 8002)] == [True, False]
    publishing.release()
