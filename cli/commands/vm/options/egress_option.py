"""``--egress`` and its short form ``--nat``: what a VM may reach outside."""

from typing import TYPE_CHECKING, Any

import click

from cli.parsing.param_types import EgressPolicy

if TYPE_CHECKING:
    from shared.contract.egress import Egress

egress_option = click.option(
    "--egress",
    metavar="POLICY",
    type=EgressPolicy(),
    help="What the VM may connect to: none, nat (everything outside), or allow=ENTRY[,ENTRY...]. "
    "An entry is HOST[:PORT], CIDR[:PORT] or VM.vm[:PORT]; *.example.org stands for every name "
    "below example.org, *.vm for every VM, * for everything outside, which is what is globally "
    "routable. Local networks and metadata services have to be named: allow=*,192.168.1.0/24. "
    "Lists with names need bridge mode.",
)


def egress_fields(egress: "Egress | None", nat: bool | None) -> dict[str, Any]:
    """The fields of VmCreate and VmSet; ``nat`` is None where neither form of it was given.

    Raises ``UsageError`` when the two say different things.
    """
    if egress is None:
        return {} if nat is None else {"nat": nat}
    if nat is not None and (egress.nat != nat or egress.allow):
        flag, means = ("--nat", "nat") if nat else ("--no-nat", "none")
        raise click.UsageError(
            f"{flag} means --egress {means} and conflicts with --egress {egress}",
            click.get_current_context(),
        )
    return {"nat": egress.nat, "allow": list(egress.allow)}
