"""Chooses the VMM that runs a VM: the first that can, or the one that was asked for.

The api asks before there is a VM, a supervisor at each start, and doctor::

    choice = choose("auto", "bridge", LaunchContext(config, kernel, paths.run))
    choice.vmm, choice.reason      # ("firecracker", "Firecracker 1.12.1, KVM runs its guests here")
"""

from dataclasses import dataclass

from shared.errors import BangerError, Code
from shared.vmm.info import DriverInfo, LaunchContext
from shared.vmm.registry import AUTO, VMMS, driver_info


@dataclass(frozen=True)
class Choice:
    """``reason``: half a sentence for people."""

    vmm: str
    reason: str


def choose(wanted: str, network: str, context: LaunchContext) -> Choice:
    """Decide for a VM of this network mode. May boot a probe guest, see ``DriverInfo.check``.

    Raises:
        BangerError: ``invalid`` for a VMM that there is not; ``incompatible`` or ``missing_tool``
            when the one that is wanted cannot run the VM.
    """
    if wanted == AUTO:
        return _first_that_can(network, context)
    info = driver_info(wanted)
    try:
        if network not in info.networks:
            raise _no_such_network(info, network)
        return Choice(info.name, info.check(context) or "as asked")
    except BangerError as obstacle:
        others = [other.name for other in VMMS if network in other.networks and other is not info]
        if others:
            obstacle.hint = f"{obstacle.hint}, or use --vmm {others[-1]}".removeprefix(", or ")
        raise


def _first_that_can(network: str, context: LaunchContext) -> Choice:
    obstacles: list[BangerError] = []
    for info in VMMS:
        if network not in info.networks:
            continue
        try:
            reason = info.check(context) or f"for its {network}-mode network"
        except BangerError as obstacle:
            obstacles.append(obstacle)
        else:
            return Choice(info.name, obstacles[0].message if obstacles else reason)
    raise obstacles[0]


def _no_such_network(info: DriverInfo, network: str) -> BangerError:
    return BangerError(
        Code.INCOMPATIBLE,
        f"{info.title} has no {network}-mode network",
        hint="set nat.enabled in the configuration" if network == "user" else "",
    )
