"""Verbs of the service that moves repositories into guests and what they hold out again."""

from typing import TYPE_CHECKING

from shared.contract.verb import Structs, Verb

if TYPE_CHECKING:
    from shared.contract.messages import workspace
else:
    workspace = Structs("shared.contract.messages.workspace")

TRANSFER_SECONDS = 3600.0
"""A repository of gigabytes goes into an emulated guest."""

PLAN = Verb(
    "workspaces",
    "transfer.plan",
    workspace.WorkspacePlanRequest,
    workspace.WorkspacePlan,
    partials=True,
    seconds=300.0,
)
PREPARE = Verb(
    "workspaces",
    "transfer.prepare",
    workspace.TransferPrepare,
    workspace.Prepared,
    idempotent=False,
    partials=True,
    seconds=TRANSFER_SECONDS,
    notes="two transfers of one VM are one after the other",
)
STATUS = Verb(
    "workspaces",
    "transfer.status",
    workspace.TransferStatus,
    workspace.WorkspaceStatus,
    partials=True,
    seconds=TRANSFER_SECONDS,
)
EXPORT = Verb(
    "workspaces",
    "transfer.export",
    workspace.TransferExport,
    workspace.Exported,
    partials=True,
    seconds=TRANSFER_SECONDS,
)
APPLY = Verb(
    "workspaces",
    "transfer.apply",
    workspace.TransferApply,
    workspace.Applied,
    idempotent=False,
    partials=True,
    seconds=TRANSFER_SECONDS,
)
FILES = Verb(
    "workspaces",
    "transfer.files",
    workspace.TransferFiles,
    workspace.FilesSent,
    seconds=120.0,
)
