"""VMs end with the command that holds their lease; the table of docs/decisions/0026."""

import asyncio

import pytest

from services.api.unasked.lease_end import LeaseEnd
from shared.contract.verbs import api
from shared.errors import BangerError, Code
from shared.host.locks import Lock
from shared.paths import Paths
from tests.fakes.scene import SMALL, Scene, play, settled

LEASE = "0123456789abcdef"


def hold(paths: Paths) -> Lock:
    paths.leases.mkdir(parents=True, exist_ok=True)
    lock = Lock.try_acquire(paths.leases / LEASE)
    assert lock
    return lock


def test_a_vm_goes_when_its_lease_is_not_held_any_more(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            lock = hold(paths)
            await scene.running("leased", lease=LEASE)
            await scene.running("free")
            await LeaseEnd(scene.context).enforce()
            assert scene.row("leased").state == "running"
            lock.release()
            await LeaseEnd(scene.context).enforce()
            assert [vm.name for vm in scene.store.vms.values()] == ["free"]
            assert not scene.context.leased.leases
            assert not (paths.leases / LEASE).exists()

    play(act())


def test_services_that_start_again_ask_the_lock_and_not_their_memory(paths: Paths) -> None:
    """Held: the client lives. Free, or no file after the host's reboot: it has gone."""

    async def act() -> None:
        async with Scene(paths) as scene:
            lock = hold(paths)
            vm = await scene.running("leased", lease=LEASE)
            scene.context.leased.discard(vm.id)  # a new process
            looking = asyncio.create_task(LeaseEnd(scene.context).run())
            await asyncio.wait_for(scene.context.leased.some(), 5)
            await LeaseEnd(scene.context).enforce()
            assert scene.row("leased").state == "running"
            lock.path.unlink()
            lock.release()
            await LeaseEnd(scene.context).enforce()
            assert not scene.store.vms
            looking.cancel()

    play(act())


def test_a_client_that_goes_during_the_creation_leaves_no_vm(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            scene.spare.setup = lambda given: setattr(given, "held", asyncio.Event())
            request = api.VM_CREATE(name="leased", **SMALL, lease=LEASE)
            creating = asyncio.create_task(scene.bus.ask(request))
            await settled(lambda: "vm machine.start" in scene.bus.verbs())
            await LeaseEnd(scene.context).enforce()
            await asyncio.wait({creating})
            assert not scene.store.vms

    play(act())


def test_a_vm_that_is_deleted_already_needs_nothing(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            vm = await scene.running("leased", lease=LEASE)
            await scene.bus.ask(api.VM_DELETE(ref="leased"))
            assert vm.id in scene.context.leased.leases
            await LeaseEnd(scene.context).enforce()
            assert not scene.context.leased.leases

    play(act())


def test_a_vm_that_never_became_ready_is_kept(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            refused = BangerError(Code.GUEST_FAILED, "it panicked")
            scene.spare.setup = lambda given: vars(given).update(failure=refused, ran=True)
            with pytest.raises(BangerError, match="it panicked"):
                await scene.running("leased", lease=LEASE)
            await LeaseEnd(scene.context).enforce()
            assert (scene.row("leased").state, scene.row("leased").lease) == ("failed", "")

    play(act())


def test_a_lease_is_no_path(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            with pytest.raises(BangerError):
                await scene.running("leased", lease="../../../etc/x")

    play(act())
