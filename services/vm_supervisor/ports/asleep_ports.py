"""Which ports are held for a VM that is asleep, and what becomes of them when it wakes."""

from collections.abc import Callable

from services.vm_supervisor.drivers.contract import UserNetwork
from services.vm_supervisor.network.modes import Forward
from services.vm_supervisor.ports.forwards import forward_to
from services.vm_supervisor.ports.placeholder import PlaceHolder
from services.vm_supervisor.ports.publishing import (
    PublishedPorts,
    bind_for_a_moment,
    forward_of,
    without,
)
from services.vm_supervisor.running_vm import RunningVm
from shared.contract.messages.vm import Vm
from shared.logs import Log
from shared.vm.asleep import Asleep


class AsleepPorts:
    """Of one VM. In user mode all that led to its guest, in bridge mode its published TCP ports:
    the guest's own address is nobody's there while it sleeps."""

    def __init__(self, vm: Vm, asleep: Asleep, log: Log, woken: Callable[[], None]) -> None:
        self._vm = vm
        self._asleep = asleep
        self._is_bridge = vm.network == "bridge"
        self._ssh = Forward("tcp", asleep.access.host, asleep.access.port, 22)
        self._place = PlaceHolder(log, woken, vm.address if self._is_bridge else "")

    @property
    def reason(self) -> str:
        """Why the VM sleeps."""
        return self._asleep.reason

    @property
    def ssh_port(self) -> int | None:
        """User mode: the port that is held for ssh; None when another program has it by now."""
        held = not self._is_bridge and self._place.holds(self._ssh)
        return self._ssh.port if held else None

    @property
    def woken_for_nothing(self) -> bool:
        """Whether connections have woken the VM, and nobody has sent anything."""
        return self._place.led > 0 and not self._place.payload_seen

    def listen(self) -> None:
        """Hold the ports."""
        self._place.listen(self._wanted())

    def _wanted(self) -> list[Forward]:
        published = [forward_of(publication) for publication in self._vm.publish]
        if self._is_bridge:
            return [forward for forward in published if forward.protocol == "tcp"]
        return [self._ssh, *self._forwards().values(), *published]

    def _forwards(self) -> dict[str, Forward]:
        ports = self._asleep.ports
        return {key: forward_to(self._vm.address, key, port) for key, port in ports.items()}

    def change(self, vm: Vm) -> None:
        """Hold the ports that ``vm`` publishes in place of those of before. Raises as
        ``host_ports.bind`` for a port that is taken; all stays as it was then."""
        for publication in without(vm.publish, self._vm.publish):
            bind_for_a_moment(publication)
        self._vm = vm
        self._place.close()
        self.listen()

    def ignore(self) -> None:
        """Wake nobody from now on."""
        self._place.ignore()

    async def hand_over(self, running: RunningVm, ports: PublishedPorts) -> None:
        """The machine is loaded and its guest stands still: give it the TCP ports. Raises as
        ``PlaceHolder.hand_over`` and, in bridge mode, ``PublishedPorts.reserve``."""
        made = await self._place.hand_over(self._network(running))
        self._note(running, made)
        if self._is_bridge:
            ports.reserve(self._vm.publish)

    async def relay(self, running: RunningVm) -> None:
        """The guest runs: lead everybody to it."""
        self._note(running, await self._place.relay(self._network(running)))
        running.relays_udp = not self._is_bridge

    def _network(self, running: RunningVm) -> UserNetwork | None:
        return None if self._is_bridge else running.machine.user_network

    def _note(self, running: RunningVm, made: list[Forward]) -> None:
        handle = running.handle
        handle.ports |= {
            key: forward.port for key, forward in self._forwards().items() if forward in made
        }
        handle.publish = handle.publish + [
            publication for publication in self._vm.publish if forward_of(publication) in made
        ]

    def close(self) -> None:
        """Give the ports up, and reset whoever waits."""
        self._place.close()
