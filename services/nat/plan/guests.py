"""The VMs that need a tap now: those that are up, and those about to start. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import AddressValueError, IPv4Address, IPv4Network

from services.nat.plan.publications import publications_of
from services.nat.plan.state import BridgeGuest
from shared.addresses.mac import mac_address
from shared.addresses.subnet import guest_addresses
from shared.contract.egress import Allowed, parse_allowed
from shared.contract.lifecycle import LIVE
from shared.contract.messages.vm import Vm
from shared.errors import BangerError, Code

ALLOWED_MOST = 1024
"""Entries of one VM's egress list."""

HOLD_SECONDS = 60.0
"""How long an attached VM keeps its tap while the store does not show it as starting."""


class TapHolds:
    """VMs whose supervisor requested a tap (``nat.attach``).

    A hold ends when the store shows the VM as up: from then on its state decides. If that never
    happens, it ends after ``HOLD_SECONDS``. Times are seconds of CLOCK_MONOTONIC."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def hold(self, vm_id: str, now: float) -> None:
        self._until[vm_id] = now + HOLD_SECONDS

    def wanted(self, vms: Mapping[str, Vm], now: float) -> list[Vm]:
        """The VMs of ``vms`` on the bridge that are up or held, in order of their ids."""
        self._until = {
            vm_id: until
            for vm_id, until in self._until.items()
            if until > now and vm_id in vms and vms[vm_id].state not in LIVE
        }
        bridged = (vms[vm_id] for vm_id in sorted(vms) if vms[vm_id].network == "bridge")
        return [vm for vm in bridged if vm.state in LIVE or vm.id in self._until]


def guest_of(vm: Vm, subnet: IPv4Network) -> BridgeGuest:
    """What the kernel's configuration needs of ``vm``.

    Raises:
        BangerError: ``conflict`` for a VM that has no address in the bridge's subnet;
            ``invalid`` for an id that cannot be part of a tap's name, and for a list or a
            published port that the api would have refused.
    """
    try:
        address = IPv4Address(vm.address) if vm.network == "bridge" else None
    except AddressValueError:
        address = None
    if address is None or int(address) not in guest_addresses(subnet):
        raise BangerError(
            Code.CONFLICT,
            f"VM {vm.name} has the address {vm.address or '(none)'}, "
            f"which is not in the bridge's subnet {subnet}",
            hint="it was created with other network settings: delete it and create it again",
        )
    return BridgeGuest(
        vm.id, address, mac_address(vm.id), vm.nat, _allowed(vm), publications_of(vm), vm.name
    )


def _allowed(vm: Vm) -> tuple[Allowed, ...]:
    if len(vm.allow) > ALLOWED_MOST:
        raise BangerError(
            Code.INVALID, f"VM {vm.name} has more than {ALLOWED_MOST} entries on its egress list"
        )
    return tuple(parse_allowed(entry) for entry in vm.allow)


def without_duplicate_addresses(guests: Iterable[BridgeGuest]) -> Iterator[BridgeGuest]:
    """Leave out a guest whose address an earlier one has.

    The store assigns each address once, but a nat that serves an untrusted user must never keep
    more taps than the subnet has addresses."""
    taken: set[IPv4Address] = set()
    for guest in guests:
        if guest.address not in taken:
            taken.add(guest.address)
            yield guest
