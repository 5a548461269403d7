"""Verbs of the launcher and of the broker: the services themselves."""

from typing import TYPE_CHECKING

from shared.contract.verb import Structs, Verb

if TYPE_CHECKING:
    from shared.contract.messages import operation, vm
else:
    operation = Structs("shared.contract.messages.operation")
    vm = Structs("shared.contract.messages.vm")

SERVICES = Verb(
    "broker",
    "broker.services",
    vm.Empty,
    operation.RegisteredList,
    notes="who has registered; the broker answers this itself",
)
STATUS = Verb("launcher", "daemon.status", vm.Empty, operation.DaemonStatus)
START = Verb(
    "launcher",
    "daemon.start",
    vm.Empty,
    type(None),
    notes="services that were given up get another chance",
)
STOP = Verb("launcher", "daemon.stop", vm.Empty, type(None))
