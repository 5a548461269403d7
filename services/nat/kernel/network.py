"""The bridge network of all VMs: from their rows to the kernel, and what is reported about it."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from services.nat.kernel.host import HostNetwork
from services.nat.kernel.resolved import NameRouting
from services.nat.kernel.sockets import other_holder, ports_of_others
from services.nat.kernel.sysctl import IpForward
from services.nat.kernel.thread import KernelThread
from services.nat.plan.grants import GrantChange, Grants, usable
from services.nat.plan.guests import Complaint, admit, usable_guest
from services.nat.plan.publications import assign_ports
from services.nat.plan.state import Desired, tap_name
from services.nat.plan.steps import CreateBridge, Step
from services.nat.ruleset.rules import table_of
from shared.contract.messages.network import NatAllow
from shared.contract.messages.vm import Vm
from shared.errors import BangerError, Code
from shared.logs import Log

COMPLAINTS_SHOWN = 4
"""Complaints that ``problem`` has room for; the log has all of them."""
NAMES_SECONDS = 25.0
"""Between two attempts to configure systemd-resolved: at most one in each pass without a change."""


class BridgeNetwork:
    """Calls must not overlap: the caller holds a lock around ``update`` and ``allow``.

    ``base``: the network without guests. ``note``: the file for the former value of ip_forward.
    ``untrusted``: another user's store has the rows, so their published ports are checked.
    """

    def __init__(
        self, base: Desired, note: Path, thread: KernelThread, log: Log, *, untrusted: bool
    ) -> None:
        self.base = base
        self._log = log
        self._thread = thread
        self._untrusted = untrusted
        self.problem = ""
        """Why guests lack something, with what to do about it; empty when they do not."""
        self._host = HostNetwork(IpForward(note), table_of(base.bridge))
        server = f"{base.gateway.ip}:{base.dns_port}"
        self._names = NameRouting(base.bridge, server, base.subnets)
        self._names_due = 0.0
        self._grants = Grants()
        self._restored = False
        self._marked = False
        self._dropped: dict[str, int] = {}
        self._complaints: tuple[Complaint, ...] = ()

    async def taps(self) -> list[str]:
        return await self._thread.run(self._host.taps, self.base.bridge)

    async def update(self, vms: Sequence[Vm], jails: Mapping[str, int]) -> None:
        """Give the network to ``vms`` and to no others. ``jails``: VM id → uid of its jail.

        Raises:
            BangerError: as ``HostNetwork.reconcile``; it is in the log and in ``problem`` then.
        """
        try:
            await self._restore()
            desired = await self._desired(vms, jails)
            if self._names.is_set and (not desired.guests or desired.dns_holder is not None):
                failure = await self._thread.run(self._names.revert)
                self._log.info("systemd-resolved reverted", failure=failure)
            done = await self._thread.run(self._host.reconcile, desired)
            await self._remove_unmarked()
        except BangerError as error:
            self.problem = error.to_line()
            self._log.error(error.message, code=error.code.value, hint=error.hint)
            raise
        routed = any(guest.routed for guest in desired.guests)
        obstacles = done.observed.firewalls.obstacles if routed else ()
        self.problem = self._summary([*_taken_port(desired), *obstacles])
        self._report_spoofed_frames(vms, done.observed.dropped)
        await self._route_names(desired, done.steps)
        for step in done.steps:
            self._log.info("network changed", step=type(step).__name__, of=str(step))

    def refuse_unapplied(self, vm_id: str) -> None:
        """Raise ``conflict`` when the last pass left out a part of the VM's row; of any VM's, when
        ``vm_id`` is empty."""
        found = [message for of, message in self._complaints if vm_id in ("", of)]
        if found:
            raise BangerError(
                Code.CONFLICT, _shortened(found), hint="the rest of the network is in place"
            )

    async def allow(self, vm: Vm, request: NatAllow) -> None:
        """Let the VM reach the addresses that a name on its egress list resolved to.

        Raises:
            BangerError: ``invalid`` for an address that is not outside, and as ``Grants.lacking``
                and ``HostNetwork.allow``.
        """
        guest, _ = usable_guest(vm, self.base.subnet)
        if guest.nat:
            return
        addresses = [usable(address, self.base.subnet) for address in request.addresses]
        now = time.monotonic()
        name = request.name.lower().removesuffix(".")
        change = self._grants.lacking(guest, name, addresses, request.seconds, now)
        if change.added:
            await self._thread.run(self._host.allow, change.added, change.revoked)
            self._grants.add(change, now)

    async def _restore(self) -> None:
        """Read what an earlier nat allowed from the kernel: the next ruleset would drop it."""
        if not self._restored:
            found = GrantChange(tuple(await self._thread.run(self._host.allowed_addresses)))
            self._grants.add(found, time.monotonic())
            self._restored = True

    async def _remove_unmarked(self) -> None:
        if not self._marked:
            if await self._thread.run(self._host.remove_unmarked, self.base.bridge):
                self._log.info("tables of an earlier build removed")
            self._marked = True

    async def _desired(self, vms: Sequence[Vm], jails: Mapping[str, int]) -> Desired:
        taken = None
        if self._untrusted:
            taken = await self._thread.run(ports_of_others, self.base.owner)
        admission = admit(vms, self.base.subnet, jails)
        assigned = assign_ports(admission.guests, taken)
        self._complain((*admission.complaints, *assigned.refused))
        allowed = self._grants.allowed(assigned.guests, time.monotonic())
        base, gateway = self.base, str(self.base.gateway.ip)
        holder = await self._thread.run(other_holder, base.owner, gateway, base.dns_port)
        desired = base.with_guests(assigned.guests, tuple(allowed), admission.cut_off)
        return replace(desired, dns_holder=holder)

    def _complain(self, complaints: tuple[Complaint, ...]) -> None:
        """Log each complaint once, for as long as it holds."""
        for vm_id, message in sorted(set(complaints) - set(self._complaints)):
            self._log.warning(message, vm=vm_id)
        self._complaints = complaints

    def _summary(self, obstacles: Sequence[str]) -> str:
        complaints = [message for _, message in self._complaints]
        return "; ".join([*obstacles, *([_shortened(complaints)] if complaints else [])])

    def _report_spoofed_frames(self, vms: Iterable[Vm], dropped: Mapping[str, int]) -> None:
        """Log how many frames were dropped since the last pass. New rules reset the counters."""
        by_tap = {tap_name(vm.id): vm for vm in vms}
        for tap, frames in dropped.items():
            before = self._dropped.get(tap, 0)
            new = frames - before if frames >= before else frames
            if new and (vm := by_tap.get(tap)):
                self._log.warning(f"dropped {new} spoofed frames of {vm.name}", vm=vm.id)
        self._dropped = dict(dropped)

    async def _route_names(self, desired: Desired, steps: Sequence[Step]) -> None:
        """Configure systemd-resolved for a new bridge, and try again later while that fails."""
        created = any(isinstance(step, CreateBridge) for step in steps)
        due = not self._names.is_set and time.monotonic() >= self._names_due
        if desired.guests and desired.dns_holder is None and (created or due):
            self._names_due = time.monotonic() + NAMES_SECONDS
            failure = await self._thread.run(self._names.set)
            self._log.debug("systemd-resolved configured", failure=failure)


def _taken_port(desired: Desired) -> list[str]:
    if desired.dns_holder is None or not desired.guests:
        return []
    return [
        f"port {desired.dns_port} of {desired.gateway.ip} belongs to a program of uid "
        f"{desired.dns_holder}: guests have no resolver until that program ends, or until another "
        "dns.port is set"
    ]


def _shortened(complaints: Sequence[str]) -> str:
    beyond = len(complaints) - COMPLAINTS_SHOWN
    more = [f"{beyond} more, see: banger daemon logs nat"] if beyond > 0 else []
    return "; ".join([*complaints[:COMPLAINTS_SHOWN], *more])
