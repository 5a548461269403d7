"""Verbs of nat, the privileged service that owns the host's network."""

from typing import TYPE_CHECKING

from shared.contract.verb import Structs, Verb

if TYPE_CHECKING:
    from shared.contract.messages import network, vm
else:
    network = Structs("shared.contract.messages.network")
    vm = Structs("shared.contract.messages.vm")

SECONDS = 30.0

APPLY = Verb(
    "nat",
    "nat.apply",
    network.NatApply,
    type(None),
    seconds=SECONDS,
    notes="answered when the kernel has what the store says now; the api asks after a change of "
    "egress or publications, since events come in their own time. `conflict` names what this VM "
    "could not get",
)
ATTACH = Verb(
    "nat",
    "nat.attach",
    network.NatAttach,
    network.Attachment,
    seconds=SECONDS,
    notes="answered when the tap of this VM is in place",
)
STATUS = Verb("nat", "nat.status", vm.Empty, network.NatStatus)
ALLOW = Verb(
    "nat",
    "nat.allow",
    network.NatAllow,
    type(None),
    notes="dns is about to answer this VM so; answered when the addresses are in its sets. After "
    "any error there must be no answer",
)
JAIL = Verb(
    "nat",
    "nat.jail",
    network.NatJail,
    network.Jailed,
    idempotent=False,
    seconds=SECONDS,
    notes="starts this VM's VMM in a jail, after `nat.attach`; `conflict` when there is "
    "one, `denied` when nat is not root or a file is not what it has to be",
)
UNJAIL = Verb(
    "nat",
    "nat.unjail",
    network.NatUnjail,
    type(None),
    seconds=SECONDS,
    notes="signals the jailed VMM of this VM; `not_running` when there is none",
)
