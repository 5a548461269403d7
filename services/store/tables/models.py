"""The database's tables. A change here needs a migration in ``migrations/versions``."""

from typing import Any

from sqlalchemy import JSON, ForeignKey, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class VmRow(Base):
    """A virtual machine: the last state its supervisor reported, what has to be unique, and what is
    wanted of it, which nobody queries, in one column."""

    __tablename__ = "vm"
    __table_args__ = (UniqueConstraint("network", "address", name="uq_vm_network_address"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str]
    reason: Mapped[str] = mapped_column(default="")
    network: Mapped[str]
    address: Mapped[str]
    created_at: Mapped[str]
    touched_at: Mapped[str] = mapped_column(default="")
    wakes: Mapped[bool] = mapped_column(default=False)
    spec: Mapped[dict[str, Any]] = mapped_column(JSON)
    """``VmSpec`` by its fields."""


class MutationRow(Base):
    """The request that made a VM: after any crash "did it happen?" has an answer here."""

    __tablename__ = "mutation"

    request_id: Mapped[str] = mapped_column(primary_key=True)
    vm_id: Mapped[str] = mapped_column(ForeignKey("vm.id", ondelete="CASCADE"))


class SequenceRow(Base):
    """One row: the number of the last committed change (the ``seq`` of events)."""

    __tablename__ = "sequence"

    id: Mapped[int] = mapped_column(primary_key=True)
    seq: Mapped[int]
