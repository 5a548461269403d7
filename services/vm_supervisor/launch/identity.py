"""What makes the guest of a VM different from every other one: its keys, names and addresses."""

import asyncio
import hashlib
from pathlib import Path
from typing import NamedTuple

from services.vm_supervisor.drivers.contract import Drives
from services.vm_supervisor.guest.ssh import KeyPair, ensure_key
from services.vm_supervisor.launch.initrd import GuestIdentity
from services.vm_supervisor.network.modes import GuestNetwork
from shared.contract.messages.machine import SupervisorSpec
from shared.contract.messages.vm import Vm
from shared.paths import Paths
from shared.vm import files
from shared.vm.manifest import read_manifest
from shared.vmm.info import Channel


class GuestKeys(NamedTuple):
    """``host``: of the guest's sshd, the VM's own. ``user``: of whoever logs in."""

    host: KeyPair
    user: KeyPair


async def keys_of(paths: Paths, vm: Vm) -> GuestKeys:
    """The keys, made when they are not there. Raises as ``ensure_key``."""
    host, user = await asyncio.gather(
        asyncio.to_thread(ensure_key, paths.vm_state(vm.id) / files.HOST_KEY, f"banger {vm.name}"),
        asyncio.to_thread(ensure_key, paths.ssh_key),
    )
    return GuestKeys(host, user)


def identity_of(
    spec: SupervisorSpec, network: GuestNetwork, drives: Drives, agent: Channel, keys: GuestKeys
) -> GuestIdentity:
    """``agent``: the VMM's way to the guest's agent."""
    return GuestIdentity(
        hostname=spec.vm.name,
        machine_id=hashlib.sha256(spec.vm.id.encode()).hexdigest()[:32],
        host_key=keys.host.private,
        authorized_keys=keys.user.public,
        kernel_version=read_manifest(Path(spec.kernel))["version"],
        network=network,
        agent=agent,
        drives=drives,
    )
