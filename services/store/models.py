"""The database's tables. A change here needs a migration in ``migrations/versions``."""

from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class VmRow(Base):
    """A virtual machine: what is wanted of it and the last state its supervisor reported."""

    __tablename__ = "vm"
    __table_args__ = (UniqueConstraint("network", "address", name="uq_vm_network_address"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str]
    reason: Mapped[str] = mapped_column(default="")
    image_id: Mapped[str]
    image_name: Mapped[str]
    kernel_id: Mapped[str]
    vcpu: Mapped[int]
    memory_mib: Mapped[int]
    disk_bytes: Mapped[int] = mapped_column(BigInteger)
    overlay_bytes: Mapped[int] = mapped_column(BigInteger)
    network: Mapped[str]
    address: Mapped[str]
    nat: Mapped[bool]
    workspace: Mapped[str] = mapped_column(default="")
    created_at: Mapped[str]
    touched_at: Mapped[str] = mapped_column(default="")
    vmm: Mapped[str] = mapped_column(default="auto")
    allow: Mapped[list[str]] = mapped_column(JSON, default=list)
    publish: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)


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
