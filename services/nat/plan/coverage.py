"""Which changes of the store's rows need a pass over the kernel. Pure.

A row changes with every use of its VM. What the network depends on rarely does, and then a pass is
often under way already: ``nat.attach`` makes one for a VM that starts.
"""

from collections.abc import Iterable
from typing import NamedTuple

from shared.contract.lifecycle import LIVE
from shared.contract.messages.vm import Publication, Vm


class NetworkFields(NamedTuple):
    """The fields of a row that become part of the host's network."""

    name: str
    address: str
    nat: bool
    allow: list[str]
    publish: list[Publication]


class NetworkView(NamedTuple):
    """What nat uses of a row. A VM that is up has a tap; one that starts gets it when its
    supervisor asks."""

    up: bool
    starting: bool
    fields: NetworkFields


def network_view(vm: Vm) -> NetworkView | None:
    """None for a VM that is not on the bridge."""
    if vm.network != "bridge":
        return None
    return NetworkView(vm.state in LIVE, vm.state == "starting", _fields(vm))


class Coverage:
    """What the kernel has since the last pass: nothing that is known, before the first one."""

    def __init__(self) -> None:
        self._fields: dict[str, NetworkFields] | None = None

    def record(self, wanted: Iterable[Vm]) -> None:
        """A pass has given the network to these VMs and to no others."""
        self._fields = {vm.id: _fields(vm) for vm in wanted}

    def forget(self) -> None:
        """What the kernel has is unknown: a pass failed, or a jail's process ended."""
        self._fields = None

    def covers(self, wanted: Iterable[Vm]) -> bool:
        """Whether a pass for these VMs would change nothing.

        A VM that is starting and has no tap yet is left to the ``nat.attach`` of its supervisor.
        """
        if self._fields is None:
            return False
        now = {vm.id: vm for vm in wanted}
        return self._fields.keys() <= now.keys() and all(
            self._fields[vm.id] == _fields(vm) if vm.id in self._fields else vm.state == "starting"
            for vm in now.values()
        )


def _fields(vm: Vm) -> NetworkFields:
    return NetworkFields(vm.name, vm.address, vm.nat, vm.allow, vm.publish)
