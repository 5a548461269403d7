"""Saved machines in a jail: what is mounted for them, and whose files nat refuses to mount."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from services.vm_supervisor.drivers.firecracker.requests import SHOW_CONFIG, ApiRequest
from shared.errors import Code
from shared.host.process import ProcessId
from shared.vm import files
from tests.contract.prison import NEEDED, VM, Prison
from tests.contract.test_jail import contract, make_ready_for_nat
from tests.integration.users import TWO

DESCRIBE = ApiRequest("GET", "/", {})

pytestmark = NEEDED


def _mounts(process: ProcessId) -> dict[str, list[str]]:
    """Mount point → its options."""
    lines = Path(f"/proc/{process.pid}/mounts").read_text().splitlines()
    return {line.split()[1]: line.split()[3].split(",") for line in lines}


async def _saved(prison: Prison) -> Path:
    """A machine that was saved in a jail; the jail is gone."""
    target = prison.state / "kept"
    target.mkdir(mode=0o700)
    async with prison.launched() as machine:
        await machine.attach()
        await machine.pause()
        assert await machine.save(target) == "file"
        await machine.collect(target)
        assert (await prison.ask(DESCRIBE))["state"] == "Paused"
    await asyncio.to_thread(prison.expect_nothing_left)
    return target


@contract
async def test_what_a_jail_saves_is_the_users_own_and_another_jail_starts_from_it(
    prison: Prison,
) -> None:
    saved = await _saved(prison)
    for name in (files.MEMORY, files.DEVICE_STATE):
        kept = (saved / name).stat()
        assert (kept.st_uid, kept.st_gid) == (os.geteuid(), os.getegid())
        assert (prison.state / files.SAVING / name).stat().st_size == 0
    assert (saved / files.MEMORY).stat().st_size == prison.spec.memory_mib << 20
    (prison.run / files.INITRD).unlink()  # nothing is booted
    async with prison.launched(saved) as machine:
        await machine.attach()
        mounts = _mounts(machine.process)
        for name in (files.MEMORY, files.DEVICE_STATE):
            assert {"ro", "nosuid", "nodev", "noexec"} <= set(mounts[f"/saved/{name}"])
            assert {"rw", "nosuid", "nodev", "noexec"} <= set(mounts[f"/save/{name}"])
        assert (await prison.ask(DESCRIBE))["state"] == "Paused"
        await machine.resume()
        assert (await prison.ask(DESCRIBE))["state"] == "Running"
        assert (prison.sockets / files.AGENT_SOCKET).is_socket()
        shown = await prison.ask(SHOW_CONFIG)
        assert {drive["path_on_host"] for drive in shown["drives"]} == {
            "disks/rootfs", "disks/overlay", "disks/work", "disks/modules",
        }  # fmt: skip
        shutil.rmtree(saved)  # it is mapped
        assert (await prison.ask(DESCRIBE))["state"] == "Running"
    (prison.run / files.INITRD).write_bytes(b"secret")
    async with prison.launched() as machine:
        await machine.attach()
        assert not [path for path in _mounts(machine.process) if path.startswith("/saved")]


@contract
async def test_what_was_saved_is_out_of_the_reach_of_its_jail(prison: Prison) -> None:
    """A Firecracker that a guest has taken over keeps the files that it was given to save to."""
    target = prison.state / "kept"
    target.mkdir(mode=0o700)
    async with prison.launched() as machine:
        await machine.attach()
        await machine.pause()
        await machine.save(target)
        await machine.collect(target)
        inside = Path(f"/proc/{machine.process.pid}/root/save")
        for name in (files.MEMORY, files.DEVICE_STATE):
            assert not (inside / name).samefile(target / name)


@pytest.mark.parametrize("name", [files.MEMORY, files.DEVICE_STATE])
@pytest.mark.parametrize("where", [files.SAVED_MACHINE, files.SAVING])
def test_a_link_or_somebody_elses_file_in_its_place_is_refused(
    prison: Prison, tmp_path: Path, where: str, name: str
) -> None:
    make_ready_for_nat(prison)
    directory = (prison.run if where == files.SAVED_MACHINE else prison.state) / where
    directory.mkdir()
    target = tmp_path / "roots"
    target.write_text("root's")
    target.chmod(0o666)
    prison.call("nat", "nat.attach", id=VM)
    (directory / name).symlink_to(target)
    prison.give_to_the_user()
    assert prison.refusal("nat", "nat.jail", id=VM).code is Code.DENIED
    (directory / name).unlink()
    (directory / name).touch(mode=0o644)
    prison.give_to_the_user()
    os.chown(directory / name, TWO, TWO)
    assert prison.refusal("nat", "nat.jail", id=VM).code is Code.DENIED
    assert (target.stat().st_uid, target.stat().st_gid, target.read_text()) == (0, 0, "root's")
    assert not prison.leftovers()


def test_a_saved_memory_that_others_may_not_read_is_refused_with_what_to_do(
    prison: Prison,
) -> None:
    make_ready_for_nat(prison)
    (prison.run / files.SAVED_MACHINE).mkdir()
    (prison.run / files.SAVED_MACHINE / files.MEMORY).touch(mode=0o600)
    prison.give_to_the_user()
    prison.call("nat", "nat.attach", id=VM)
    error = prison.refusal("nat", "nat.jail", id=VM)
    assert error.code is Code.DENIED
    assert "chmod a+r" in error.message
