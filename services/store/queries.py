"""Everything that is asked of the database, one method a question, one transaction each.

``Store`` is synchronous and owned by one thread. Changes that cause an event return its number.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec.structs import replace
from sqlalchemy import Engine, and_, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from services.store.database import complaints
from services.store.tables.claims import (
    check_name,
    check_ports,
    free_address,
    free_name,
    oldest_in_pool,
)
from services.store.tables.mapping import published, spec_but_workspaces, spec_column, vm_of
from services.store.tables.models import MutationRow, SequenceRow, VmRow
from shared.bus.paging import Page
from shared.contract.messages.rows import (
    PoolClaim,
    Transition,
    VmClaim,
    VmReserve,
    VmRows,
    VmTouch,
    VmTransition,
    VmUpdate,
    VmWorkspace,
    row_cursor,
)
from shared.contract.messages.vm import LONGEST_REASON, Resolved, ResolvedList, State, Vm
from shared.contract.reference import BY_ID, find_id, require_whole
from shared.contract.workspaces import with_workspace
from shared.errors import BangerError, Code
from shared.plain_text import printable

MOST_ROWS = 1000
"""Rows of a page."""
AT_ONCE = 32
"""Rows that are read at once for a page."""


class Store:
    """Questions and mutations over one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def _session(self) -> Iterator[Session]:
        """One transaction; the database's own complaints become ours."""
        try:
            with complaints(), Session(self._engine) as session, session.begin():
                yield session
        except IntegrityError as error:  # what is to be unique was looked at in the transaction
            raise BangerError(
                Code.BUSY,
                f"another program changed the database at the same moment: {error.orig}",
                hint="try again",
            ) from error

    # -- questions --------------------------------------------------------------------------

    def rows(self, after: str = "") -> VmRows:
        """A page of the VMs, oldest first, and the number of the last change, from one snapshot."""
        page: Page[Vm] = Page()
        with self._session() as session:
            seq, cursor = _sequence(session).seq, after
            for row in _rows_after(session, after):
                if not page.takes(vm_of(row)):
                    return VmRows(vms=page.items, seq=seq, next=cursor)
                cursor = row_cursor(row.created_at, row.id)
            return VmRows(
                vms=page.items, seq=seq, next=cursor if len(page.items) == MOST_ROWS else ""
            )

    def sequence(self) -> int:
        """The number of the last change."""
        with self._session() as session:
            return _sequence(session).seq

    def get(self, reference: str) -> Vm:
        """The VM that a user's reference means. Raises as ``find_id``."""
        with self._session() as session:
            return vm_of(_meant(session, reference))

    def resolve(self, references: list[str], *, whole_names: bool = False) -> ResolvedList:
        """What each of a user's references means, all from one snapshot."""
        found: dict[str, Resolved] = {}
        with self._session() as session:
            for reference in dict.fromkeys(references):
                try:
                    row = _meant(session, reference)
                    if whole_names:
                        require_whole("VM", reference, row.id, row.name)
                except BangerError as error:
                    found[f"ref {reference}"] = Resolved(ref=reference, error=error.to_wire())
                else:
                    one = Resolved(ref=reference, id=row.id, name=row.name)
                    found.setdefault(f"id {row.id}", one)
        return ResolvedList(resolved=list(found.values()))

    def check(self, claim: VmClaim) -> None:
        """Raises ``conflict`` when another VM has the name or one of the ports."""
        with self._session() as session:
            own = _made_by(session, claim.request_id) or session.get(VmRow, claim.id)
            if claim.name:
                check_name(session, claim.name, own.id if own else "")
            there = published(own) if own else []
            new = [publication for publication in claim.publish if publication not in there]
            check_ports(session, [*there, *new] if new else [], own)

    # -- changes ----------------------------------------------------------------------------

    def reserve(self, request: VmReserve) -> tuple[Vm, int]:
        """Insert a VM with the next free address; the same request again returns the same VM.

        Raises:
            BangerError: ``conflict`` when the names or a port are taken or no address is left;
                ``busy`` when another program has taken them, or the id, at the same moment.
        """
        with self._session() as session:
            made = _made_by(session, request.request_id)
            if made:
                return vm_of(made), _sequence(session).seq
            check_ports(session, request.publish)
            row = VmRow(
                id=request.id,
                name=free_name(session, request.names),
                state=request.state,
                reason="",
                network=request.network,
                address=free_address(session, request.network, request.subnet),
                spec=spec_column(request),
                created_at=_now(),
                touched_at=request.touched_at,
            )
            session.add(row)
            session.flush()
            session.add(MutationRow(request_id=request.request_id, vm_id=row.id))
            return vm_of(row), _next_sequence(session)

    def claim(self, request: PoolClaim) -> tuple[Vm, int]:
        """Make a user's VM of the oldest one in the pool that fits; as ``reserve``, the same
        request again returns the same VM.

        Raises:
            BangerError: ``not_found`` when the pool has none; as ``reserve``, and then the pool
                has it still.
        """
        with self._session() as session:
            made = _made_by(session, request.request_id)
            if made:
                return vm_of(made), _sequence(session).seq
            row = oldest_in_pool(session, request.template, request.network)
            check_ports(session, request.publish, row)
            row.name = free_name(session, request.names)
            row.spec = spec_column(replace(request, keeper="", from_pool=True))
            row.created_at, row.touched_at = _now(), request.touched_at
            _set_state(row, "running", "")
            session.add(MutationRow(request_id=request.request_id, vm_id=row.id))
            return vm_of(row), _next_sequence(session)

    def update(self, request: VmUpdate) -> tuple[Vm, int]:
        """Change what is given.

        Raises:
            BangerError: ``not_found``; ``conflict`` with ``expected`` or ``keeper``, or when
                another VM has the name or one of the ports.
        """
        with self._session() as session:
            row = _row(session, request.id)
            if request.expected and row.state not in request.expected:
                raise BangerError(Code.CONFLICT, f"{row.name} is {row.state}")
            if request.keeper not in (None, vm_of(row).keeper):
                raise BangerError(Code.CONFLICT, f"{row.name} has got a user")
            if request.name is not None:
                check_name(session, request.name, row.id)
                row.name = request.name
            if request.spec is not None:
                check_ports(session, request.spec.publish, row)
                row.spec = spec_but_workspaces(request.spec, row)
            _set_state(row, request.state, request.reason, wakes=request.wakes)
            return vm_of(row), _next_sequence(session)

    def transition(self, request: VmTransition) -> tuple[Transition, int | None]:
        """Change the state if it is an expected one; without a change there is no number."""
        with self._session() as session:
            row = _meant(session, request.ref)
            before: State = vm_of(row).state
            if before not in request.expected:
                return Transition(vm=vm_of(row), before=before), None
            _set_state(row, request.state, "")
            return Transition(vm=vm_of(row), before=before), _next_sequence(session)

    def place(self, request: VmWorkspace) -> Vm:
        """Add a workspace, or replace the one of its guest path.

        Raises:
            BangerError: ``not_found``; ``conflict`` as ``with_workspace``.
        """
        with self._session() as session:
            row = _row(session, request.id)
            vm = vm_of(row)
            row.spec = spec_column(replace(vm, workspaces=with_workspace(vm, request.workspace)))
            return vm_of(row)

    def touch(self, request: VmTouch) -> None:
        """Note the time of use; nothing without the VM."""
        with self._session() as session:
            session.execute(
                update(VmRow).where(VmRow.id == request.id).values(touched_at=request.at)
            )

    def remove(self, vm_id: str) -> int | None:
        """Forget a VM; the number of the change, or None when it was not there."""
        with self._session() as session:
            row = session.get(VmRow, vm_id)
            if row is None:
                return None
            session.delete(row)
            return _next_sequence(session)


def _rows_after(session: Session, after: str) -> Iterator[VmRow]:
    """The rows after a cursor, a few at a time: what sorts them is small, and they may be large."""
    created_at, _, vm_id = after.partition(" ")
    later = or_(
        VmRow.created_at > created_at, and_(VmRow.created_at == created_at, VmRow.id > vm_id)
    )
    in_order = select(VmRow.id).where(later).order_by(VmRow.created_at, VmRow.id)
    ids = session.scalars(in_order.limit(MOST_ROWS)).all()
    for begin in range(0, len(ids), AT_ONCE):
        some = ids[begin : begin + AT_ONCE]
        rows = {row.id: row for row in session.scalars(select(VmRow).where(VmRow.id.in_(some)))}
        yield from (rows[vm_id] for vm_id in some)


def _meant(session: Session, reference: str) -> VmRow:
    """The VM that a reference means; only rows that it may mean are read. A VM that services keep,
    whose name is its id, is meant by ``by_id`` alone."""
    exact = or_(VmRow.id == reference.removeprefix(BY_ID), VmRow.name == reference)
    begun = or_(*(func.substr(of, 1, len(reference)) == reference for of in (VmRow.id, VmRow.name)))
    query = select(VmRow.id, VmRow.name)
    if not reference.startswith(BY_ID):
        query = query.where(VmRow.name != VmRow.id)
    known = session.execute(query.where(exact)).all() or session.execute(query.where(begun)).all()
    identity = find_id("VM", reference, ((row.id, row.name) for row in known))
    return session.get_one(VmRow, identity)


def _row(session: Session, vm_id: str) -> VmRow:
    row = session.get(VmRow, vm_id)
    if row is None:
        raise BangerError(Code.NOT_FOUND, f"there is no VM {vm_id}")
    return row


def _made_by(session: Session, request_id: str) -> VmRow | None:
    """The VM that this request made, if it made one that is still there."""
    done = session.get(MutationRow, request_id) if request_id else None
    return session.get_one(VmRow, done.vm_id) if done else None


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _set_state(row: VmRow, state: State | None, reason: str | None, *, wakes: bool = False) -> None:
    """Whatever sets a state says whether the VM comes back by itself from that one."""
    if state is not None:
        row.state, row.wakes = state, wakes
    if reason is not None:
        row.reason = printable(reason, LONGEST_REASON)


def _sequence(session: Session) -> SequenceRow:
    return session.get_one(SequenceRow, 1)


def _next_sequence(session: Session) -> int:
    sequence = _sequence(session)
    sequence.seq += 1
    return sequence.seq
