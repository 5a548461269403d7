"""What only one VM may have: its name, its ports of the host, its address; and who gets a VM of
the pool."""

import ipaddress
from collections.abc import Sequence
from itertools import combinations

from sqlalchemy import select
from sqlalchemy.orm import Session

from services.store.tables.mapping import published
from services.store.tables.models import VmRow
from shared.addresses.subnet import guest_addresses
from shared.contract.messages.vm import Publication
from shared.contract.publication import PORTS_MOST_OF_USER, clash, show_publication
from shared.errors import BangerError, Code


def free_name(session: Session, names: list[str]) -> str:
    """The first of ``names`` that no VM has. Raises ``conflict`` when all are taken."""
    taken = set(session.scalars(select(VmRow.name).where(VmRow.name.in_(names))))
    for name in names:
        if name not in taken:
            return name
    raise name_taken(names[0] if names else "")


def check_name(session: Session, name: str, own: str = "") -> None:
    """Raises ``conflict`` when a VM other than ``own``, an id, has the name."""
    holder = session.scalar(select(VmRow.id).where(VmRow.name == name))
    if holder not in (None, own):
        raise name_taken(name)


def name_taken(name: str) -> BangerError:
    return BangerError(
        Code.CONFLICT,
        f"a VM named {name!r} already exists",
        hint=f"choose another name, or delete it: banger vm delete {name}",
    )


def check_ports(session: Session, wanted: Sequence[Publication], own: VmRow | None = None) -> None:
    """``wanted`` is all that the VM ``own``, or one that is not there yet, is to publish.

    Raises:
        BangerError: ``conflict`` naming the VM, running or not, that publishes one of the ports,
            and when all VMs together would publish more than ``PORTS_MOST_OF_USER``.
    """
    if not wanted:
        return
    for one, other in combinations(wanted, 2):
        if clash(one, other):
            raise _port_taken(other, own.name if own else "it", one)
    number = len(wanted)
    for row in session.scalars(select(VmRow).order_by(VmRow.created_at)):
        if row is not own:
            _refuse_clashes(wanted, row)
            number += len(published(row))
    if number > PORTS_MOST_OF_USER:
        raise BangerError(
            Code.CONFLICT,
            f"all VMs together publish at most {PORTS_MOST_OF_USER} ports, not {number}",
            hint="banger vm unpublish VM --all, for a VM whose ports are not needed",
        )


def _refuse_clashes(wanted: Sequence[Publication], row: VmRow) -> None:
    for other in published(row):
        for publication in wanted:
            if clash(publication, other):
                raise _port_taken(publication, row.name, other)


def _port_taken(publication: Publication, name: str, other: Publication) -> BangerError:
    taken = show_publication(other)
    return BangerError(
        Code.CONFLICT,
        f"{publication.protocol} port {publication.host_port} of "
        f"{publication.host_address} is already published by {name} ({taken})",
        hint=f"choose another port, or: banger vm unpublish {name} {taken}",
        details={"vm": name},
    )


def oldest_in_pool(session: Session, template: str, network: str) -> VmRow:
    """The VM that has waited longest. One that is not paused is being made, or ended. Raises
    ``not_found``."""
    kept = VmRow.spec["keeper"].as_string() == "pool"
    fits = VmRow.spec["template"].as_string() == template
    waits = select(VmRow).where(VmRow.state == "paused", VmRow.network == network, kept, fits)
    row = session.scalar(waits.order_by(VmRow.created_at, VmRow.id).limit(1))
    if row is None:
        raise BangerError(Code.NOT_FOUND, f"the pool has no VM of template {template}")
    return row


def free_address(session: Session, network: str, subnet: str) -> str:
    """The lowest address for VMs in ``subnet`` that none has. Raises ``conflict``."""
    block = ipaddress.IPv4Network(subnet)
    query = select(VmRow.address).where(VmRow.network == network)
    taken = {int(ipaddress.IPv4Address(address)) for address in session.scalars(query)}
    for candidate in guest_addresses(block):
        if candidate not in taken:
            return str(ipaddress.IPv4Address(candidate))
    raise BangerError(
        Code.CONFLICT,
        f"no free address is left in {block}",
        hint="delete VMs you do not need (banger vm list), or configure a larger subnet",
    )
