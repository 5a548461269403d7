"""Everything that is asked of the database, one function a question, one transaction each.

``Store`` is synchronous and owned by one thread. Mutations return the event they caused.
"""

import ipaddress
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from sqlalchemy import Engine, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from services.store.database import complaints
from services.store.models import MutationRow, SequenceRow, VmRow
from shared.addresses.subnet import guest_addresses
from shared.contract.messages.vm import (
    Resolved,
    ResolvedList,
    Vm,
    VmReserve,
    VmRows,
    VmUpdate,
)
from shared.contract.reference import find_id
from shared.errors import BangerError, Code

UPDATABLE = (
    *("state", "reason", "touched_at"),
    *("vcpu", "memory_mib", "disk_bytes", "vmm"),
    *("nat", "allow", "publish"),
)
"""Fields of a VM that ``vm.update`` may change."""


class Store:
    """Questions and mutations over one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def _session(self) -> Iterator[Session]:
        """One transaction; the database's own complaints become ours, except about uniqueness."""
        with complaints(), Session(self._engine) as session, session.begin():
            yield session

    def rows(self) -> VmRows:
        """All VMs, oldest first, and the number of the last change, from one snapshot."""
        with self._session() as session:
            found = session.scalars(select(VmRow).order_by(VmRow.created_at, VmRow.id))
            return VmRows(vms=[_vm(row) for row in found], seq=_sequence(session).seq)

    def get(self, reference: str) -> Vm:
        """The VM that a user's reference means. Raises as ``find_id``."""
        with self._session() as session:
            return _vm(session.get_one(VmRow, _meant(session, reference)))

    def resolve(self, references: list[str]) -> ResolvedList:
        """What each of a user's references means, all from one snapshot."""
        found: dict[str, Resolved] = {}
        with self._session() as session:
            for reference in dict.fromkeys(references):
                try:
                    row = session.get_one(VmRow, _meant(session, reference))
                except BangerError as error:
                    found[f"ref {reference}"] = Resolved(ref=reference, error=error.to_wire())
                else:
                    one = Resolved(ref=reference, id=row.id, name=row.name)
                    found.setdefault(f"id {row.id}", one)
        return ResolvedList(resolved=list(found.values()))

    def made(self, request_id: str) -> VmRows:
        """The VM that this request made, if it made one that is still there."""
        with self._session() as session:
            done = session.get(MutationRow, request_id)
            found = [_vm(session.get_one(VmRow, done.vm_id))] if done else []
            return VmRows(vms=found, seq=_sequence(session).seq)

    def reserve(self, request: VmReserve) -> tuple[Vm, int]:
        """Insert a VM with the next free address; the same request again returns the same VM.

        Raises:
            BangerError: ``conflict`` when the name is taken or no address is left; ``busy`` when
                another program has taken the address, or the id, at the same moment.
        """
        try:
            with self._session() as session:
                done = session.get(MutationRow, request.request_id)
                if done:
                    row = session.get_one(VmRow, done.vm_id)
                    return _vm(row), _sequence(session).seq
                row = _new_row(request, _free_address(session, request))
                session.add(row)
                session.flush()
                session.add(MutationRow(request_id=request.request_id, vm_id=row.id))
                return _vm(row), _next_sequence(session)
        except IntegrityError as error:
            raise self._clash(request, error) from error

    def _clash(self, request: VmReserve, error: IntegrityError) -> BangerError:
        """What the row that was refused has in common with another one."""
        with self._session() as session:
            same_name = select(VmRow.id).where(VmRow.name == request.name)
            if session.scalar(same_name) is not None:
                return BangerError(
                    Code.CONFLICT,
                    f"a VM named {request.name!r} exists already",
                    hint=f"choose another --name, or: banger vm delete {request.name}",
                )
        return BangerError(
            Code.BUSY,
            f"another program changed the database while {request.name!r} was stored: {error.orig}",
            hint="try again",
        )

    def update(self, request: VmUpdate) -> tuple[Vm, int]:
        """Change what is given. Raises ``not_found``, or ``conflict`` with ``expected``."""
        with self._session() as session:
            row = session.get(VmRow, request.id)
            if row is None:
                raise BangerError(Code.NOT_FOUND, f"there is no VM {request.id}")
            if request.expected and row.state not in request.expected:
                raise BangerError(Code.CONFLICT, f"{row.name} is {row.state}")
            for field in UPDATABLE:
                value = getattr(request, field)
                if value is not None:
                    setattr(row, field, msgspec.to_builtins(value))
            return _vm(row), _next_sequence(session)

    def remove(self, vm_id: str) -> int | None:
        """Forget a VM; the number of the change, or None when it was not there."""
        with self._session() as session:
            row = session.get(VmRow, vm_id)
            if row is None:
                return None
            session.delete(row)
            return _next_sequence(session)


def _meant(session: Session, reference: str) -> str:
    """The id of the VM that a reference means; only rows that it may mean are read."""
    exact = or_(VmRow.id == reference, VmRow.name == reference)
    begun = or_(*(func.substr(of, 1, len(reference)) == reference for of in (VmRow.id, VmRow.name)))
    query = select(VmRow.id, VmRow.name)
    known = session.execute(query.where(exact)).all() or session.execute(query.where(begun)).all()
    return find_id("VM", reference, ((row.id, row.name) for row in known))


def _vm(row: VmRow) -> Vm:
    return msgspec.convert(row, Vm, from_attributes=True)


def _sequence(session: Session) -> SequenceRow:
    return session.get_one(SequenceRow, 1)


def _next_sequence(session: Session) -> int:
    sequence = _sequence(session)
    sequence.seq += 1
    return sequence.seq


def _new_row(request: VmReserve, address: str) -> VmRow:
    return VmRow(
        id=request.id,
        name=request.name,
        state="created",
        reason="",
        image_id=request.image_id,
        image_name=request.image_name,
        kernel_id=request.kernel_id,
        vcpu=request.vcpu,
        memory_mib=request.memory_mib,
        disk_bytes=request.disk_bytes,
        overlay_bytes=request.overlay_bytes,
        network=request.network,
        address=address,
        nat=request.nat,
        vmm=request.vmm,
        allow=request.allow,
        publish=msgspec.to_builtins(request.publish),
        workspace="",
        created_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        touched_at="",
    )


def _free_address(session: Session, request: VmReserve) -> str:
    """The lowest of the subnet's addresses for VMs that none has."""
    subnet = ipaddress.IPv4Network(request.subnet)
    query = select(VmRow.address).where(VmRow.network == request.network)
    taken = {int(ipaddress.IPv4Address(address)) for address in session.scalars(query)}
    for candidate in guest_addresses(subnet):
        if candidate not in taken:
            return str(ipaddress.IPv4Address(candidate))
    raise BangerError(
        Code.CONFLICT,
        f"no free address is left in {subnet}",
        hint="delete VMs you do not need (banger vm list), or configure a larger subnet",
    )
