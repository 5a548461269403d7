"""The VMs that need a tap now: those that are up, and those about to start. Pure.

The rows may be an untrusted user's. A VM that starts with a row that the api would have refused is
refused. One that is up keeps its tap, and gets what is usable of its row.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import AddressValueError, IPv4Address, IPv4Network

from services.nat.plan.state import BridgeGuest, is_vm_id
from shared.addresses.mac import mac_address
from shared.addresses.subnet import guest_addresses
from shared.contract.egress import ENTRIES_MOST, Allowed, check_egress, parse_allowed, shown
from shared.contract.lifecycle import LIVE
from shared.contract.messages.vm import Publication, Vm
from shared.contract.publication import PORTS_MOST, check_publication, check_publications
from shared.errors import BangerError, Code

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

    def notice(self, vms: Mapping[str, Vm]) -> None:
        """Called at each change of the rows: a VM may be up for less than the time to a pass."""
        self._until = {
            vm_id: until
            for vm_id, until in self._until.items()
            if vm_id not in vms or vms[vm_id].state not in LIVE
        }

    def wanted(self, vms: Mapping[str, Vm], now: float) -> list[Vm]:
        """The VMs of ``vms`` on the bridge that are up or held, in order of their ids."""
        self._until = {
            vm_id: until
            for vm_id, until in self._until.items()
            if until > now and vm_id in vms and vms[vm_id].state not in LIVE
        }
        bridged = (vms[vm_id] for vm_id in sorted(vms) if vms[vm_id].network == "bridge")
        return [vm for vm in bridged if vm.state in LIVE or vm.id in self._until]


Complaint = tuple[str, str]
"""The id of a VM, and what it did not get and why."""


def guest_of(vm: Vm, subnet: IPv4Network) -> BridgeGuest:
    """What the kernel's configuration needs of ``vm``.

    Raises:
        BangerError: ``conflict`` for a VM that has no address in the bridge's subnet;
            ``invalid`` for an id that cannot be part of a tap's name, and for a list or a
            published port that the api would have refused.
    """
    guest = bare_guest(vm, subnet)
    try:
        allow = check_egress(vm.nat, vm.allow)
        publish = check_publications(vm.publish)
    except BangerError as error:
        error.message = f"VM {vm.name}: {error.message}"
        raise
    return replace(guest, allow=tuple(map(parse_allowed, allow)), publish=tuple(publish))


def bare_guest(vm: Vm, subnet: IPv4Network) -> BridgeGuest:
    """The guest without what it may reach and publishes. Raises ``conflict`` and ``invalid`` as
    ``guest_of``."""
    try:
        address = IPv4Address(vm.address) if vm.network == "bridge" else None
    except AddressValueError:
        address = None
    if address is None or int(address) not in guest_addresses(subnet):
        raise BangerError(
            Code.CONFLICT,
            f"VM {vm.name} has the address {shown(vm.address) or '(none)'}, "
            f"which is not in the bridge's subnet {subnet}",
            hint="it was created with other network settings: delete it and create it again",
        )
    return BridgeGuest(vm.id, address, mac_address(vm.id), vm.nat, name=vm.name)


@dataclass
class Admission:
    """What is usable of the rows of the VMs that are up."""

    guests: list[BridgeGuest] = field(default_factory=list)
    cut_off: list[str] = field(default_factory=list)
    """Ids of VMs without a usable address: they keep the tap that they have, and reach nothing."""
    complaints: list[Complaint] = field(default_factory=list)


def admit(vms: Iterable[Vm], subnet: IPv4Network, jails: Mapping[str, int]) -> Admission:
    """The guests, whatever their rows say. ``jails``: VM id → uid of its jail.

    The store assigns each address once. A second VM with the same address is cut off. So are no
    more VMs than the subnet has addresses, because each keeps a tap.
    """
    admission = Admission()
    taken: set[IPv4Address] = set()
    for vm in vms:
        try:
            guest, problems = usable_guest(vm, subnet)
            if guest.address in taken:
                raise BangerError(
                    Code.CONFLICT, f"VM {vm.name} has the address of another VM: {guest.address}"
                )
        except BangerError as error:
            admission.complaints.append((vm.id, error.message))
            admission.cut_off.append(vm.id)
            continue
        taken.add(guest.address)
        admission.guests.append(replace(guest, jail=jails.get(vm.id)))
        admission.complaints += [(vm.id, f"VM {vm.name}: {problem}") for problem in problems]
    room = len(guest_addresses(subnet)) - len(admission.guests)
    admission.cut_off = [vm_id for vm_id in admission.cut_off if is_vm_id(vm_id)][:room]
    return admission


def usable_guest(vm: Vm, subnet: IPv4Network) -> tuple[BridgeGuest, list[str]]:
    """The guest with what is usable of its row, and what is not. Raises as ``bare_guest``."""
    try:
        return guest_of(vm, subnet), []
    except BangerError:
        guest = bare_guest(vm, subnet)
    allow, unusable_entries = _usable_entries(vm)
    publish, unusable_ports = _usable_ports(vm)
    return replace(guest, allow=allow, publish=publish), [*unusable_entries, *unusable_ports]


def _usable_entries(vm: Vm) -> tuple[tuple[Allowed, ...], Iterator[str]]:
    entries: dict[Allowed, None] = {}
    problems = _Problems("egress")
    for text in vm.allow[:ENTRIES_MOST]:
        try:
            entry = parse_allowed(text.strip())
        except BangerError as error:
            problems.add(error.message)
        else:
            if vm.nat and entry.in_everything:
                problems.add(f"{shown(text)} is part of the whole outside")
            else:
                entries[entry] = None
    problems.beyond(len(vm.allow), ENTRIES_MOST)
    return tuple(entries), problems.summary()


def _usable_ports(vm: Vm) -> tuple[tuple[Publication, ...], Iterator[str]]:
    """Ports that are published twice stay: ``assign_ports`` decides."""
    publish: list[Publication] = []
    problems = _Problems("published ports")
    for publication in vm.publish[:PORTS_MOST]:
        try:
            publish.append(check_publication(publication))
        except BangerError as error:
            problems.add(error.message)
    problems.beyond(len(vm.publish), PORTS_MOST)
    return tuple(publish), problems.summary()


class _Problems:
    """The problems of one part of a row, as one sentence: a row may have very many."""

    def __init__(self, part: str) -> None:
        self._part = part
        self._first, self._number = "", 0

    def add(self, problem: str, number: int = 1) -> None:
        self._first = self._first or problem
        self._number += number

    def beyond(self, length: int, most: int) -> None:
        if length > most:
            self.add(f"at most {most} of {length} are used", length - most)

    def summary(self) -> Iterator[str]:
        """One sentence, or none when there was no problem."""
        if self._number:
            more = f" (and {self._number - 1} more)" if self._number > 1 else ""
            yield f"{self._part} left out: {self._first}{more}"
