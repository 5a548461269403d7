"""Verbs of dns, which serves the names of VMs."""

from typing import TYPE_CHECKING

from shared.contract.verb import Structs, Verb

if TYPE_CHECKING:
    from shared.contract.messages import network, vm
else:
    network = Structs("shared.contract.messages.network")
    vm = Structs("shared.contract.messages.vm")

STATUS = Verb("dns", "dns.status", vm.Empty, network.DnsStatus)
