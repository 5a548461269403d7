"""The nat service's I/O shell: the host's network follows the store's VMs.

In user mode it is idle and touches nothing. In bridge mode every change of a VM, and every
resync, leads to one pass of ``Host.reconcile`` in a worker thread; passes never overlap. When
the service ends, everything stays in place: VMs keep their network while it is restarted.
"""

import asyncio
import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Network

from services.nat.forwarding import Loan
from services.nat.guests import Holds, guest_of, with_addresses_of_their_own
from services.nat.host import Host
from services.nat.state import Desired, Guest, bridge_mac
from services.nat.station import Station
from shared.bus.actor import Actor, Call, verb
from shared.bus.runner import own
from shared.config import Config
from shared.errors import BangerError, Code
from shared.follower import Follower
from shared.logs import Log
from shared.messages.network import Attachment, NatAttach, NatStatus
from shared.messages.vm import Nothing, Vm
from shared.paths import Paths, check_private


class Nat(Actor):
    """The only process that needs privilege, and only in bridge mode (CAP_NET_ADMIN)."""

    def __init__(self, paths: Paths, log: Log, config: Config, station: Station) -> None:
        super().__init__("nat", paths, log)
        self._bridge: _Bridge | None = None
        self._config = config
        self._station = station

    async def on_start(self) -> None:
        if self._station.bridge:
            self._lock = await own(self._station.keep / "nat.lock")
            self._bridge = _Bridge(self, self._config, self._station)

    def accepts_broker(self) -> bool:
        """Root looks again each time: the directory may have been made anew meanwhile."""
        if not self._station.external:
            return True
        try:
            check_private(self.paths.run, owner=self._station.owner)
        except (BangerError, OSError) as error:
            self.log.error("the run directory is not the user's any more", error=str(error))
            self.stopping.set()
            return False
        return True

    async def on_stop(self) -> None:
        if self._bridge:
            await self._bridge.close()

    @verb("nat.attach", NatAttach)
    async def attach(self, request: NatAttach, _call: Call) -> Attachment:
        """Have the tap in place before answering; asking again changes nothing."""
        if self._bridge is None:
            raise BangerError(
                Code.UNAVAILABLE,
                "the network mode is user: there is no bridge to attach to",
                hint='set network = "bridge" in the configuration, then restart the services',
            )
        return await self._bridge.attach(request.id)

    @verb("nat.status", Nothing)
    async def answer_status(self, _request: Nothing, _call: Call) -> NatStatus:
        return await self._bridge.status() if self._bridge else NatStatus(enabled=False)


class _Bridge:
    """Bridge mode: the projection, the holds and the thread that talks to the kernel."""

    def __init__(self, actor: Actor, config: Config, station: Station) -> None:
        self._log = actor.log
        self._desired = Desired(
            bridge=config.nat.bridge,
            mac=bridge_mac(str(actor.paths.state)),
            subnet=IPv4Network(config.nat.subnet),
            owner=station.owner,
        )
        self._host = Host(Loan(station.keep / "ip_forward.json"))
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kernel")
        self._holds = Holds()
        self._problem = ""
        self._one_at_a_time = asyncio.Lock()
        self._dirty = asyncio.Event()
        self._follower = Follower(actor, self._dirty.set)
        self._keeper = asyncio.create_task(self._keep())

    async def attach(self, vm_id: str) -> Attachment:
        await self._follower.refresh()  # the caller's own change of state must be seen first
        vm = self._follower.projection.vms.get(vm_id)
        if vm is None:
            raise BangerError(Code.NOT_FOUND, f"there is no VM {vm_id}")
        guest = guest_of(vm, self._desired.subnet)
        self._holds.hold(vm_id, time.monotonic())
        await self._reconcile()
        gateway = self._desired.gateway
        return Attachment(
            tap=guest.tap,
            mac=guest.mac,
            address=str(guest.address),
            prefix=gateway.network.prefixlen,
            gateway=str(gateway.ip),
        )

    async def status(self) -> NatStatus:
        loop = asyncio.get_running_loop()
        taps = await loop.run_in_executor(self._thread, self._host.taps, self._desired.bridge)
        return NatStatus(
            enabled=True,
            bridge=self._desired.bridge,
            subnet=str(self._desired.subnet),
            taps=taps,
            problem=self._problem,
        )

    async def close(self) -> None:
        await self._follower.close()
        self._keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._keeper
        self._thread.shutdown()

    async def _keep(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self._reconcile()
            except BangerError:
                continue  # it is in the log and the status; the next resync tries again
            except Exception as error:
                self._problem = f"a bug in the nat service: {error}"
                self._log.exception("a bug while reconciling")

    async def _reconcile(self) -> None:
        """One pass. Without a first snapshot there is none: every tap would look leaked."""
        if not self._follower.projection.known:
            return
        async with self._one_at_a_time:
            desired = self._with_guests()
            loop = asyncio.get_running_loop()
            try:
                steps = await loop.run_in_executor(self._thread, self._host.reconcile, desired)
            except BangerError as error:
                self._problem = error.message
                self._log.error(error.message, code=error.code.value, hint=error.hint)
                raise
            self._problem = ""
            for step in steps:
                self._log.info("network changed", step=type(step).__name__, of=str(step))

    def _with_guests(self) -> Desired:
        vms = self._holds.wanted(self._follower.projection.vms, time.monotonic())
        guests = (self._guest_or_none(vm) for vm in vms)
        known = (guest for guest in guests if guest)
        return self._desired.with_guests(tuple(with_addresses_of_their_own(known)))

    def _guest_or_none(self, vm: Vm) -> Guest | None:
        """One VM that does not fit must not keep the others from the network."""
        try:
            return guest_of(vm, self._desired.subnet)
        except BangerError as error:
            self._log.warning(error.message, vm=vm.id)
            return None
