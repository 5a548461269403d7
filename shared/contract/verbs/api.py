"""Verbs of the api: what users ask of VMs, and their operations."""

from typing import TYPE_CHECKING

from shared.contract.verb import Structs, Verb

if TYPE_CHECKING:
    from shared.contract.messages import (
        image,
        image_work,
        machine,
        operation,
        page,
        snapshot,
        template,
        vm,
        vm_request,
        workspace,
    )
else:
    image = Structs("shared.contract.messages.image")
    image_work = Structs("shared.contract.messages.image_work")
    machine = Structs("shared.contract.messages.machine")
    operation = Structs("shared.contract.messages.operation")
    page = Structs("shared.contract.messages.page")
    snapshot = Structs("shared.contract.messages.snapshot")
    template = Structs("shared.contract.messages.template")
    vm = Structs("shared.contract.messages.vm")
    vm_request = Structs("shared.contract.messages.vm_request")
    workspace = Structs("shared.contract.messages.workspace")

BOOT_SECONDS = 900.0
"""An emulated guest on a busy machine takes minutes."""
BUILD_SECONDS = 3600.0
"""Image and kernel may have to be built first."""
END_SECONDS = 120.0
"""Ending a VM: the supervisor's own bounds, and a supervisor that has to be started first."""
SAVE_SECONDS = 900.0
"""A guest's memory of gigabytes is written to a slow disk."""
ANSWER_SECONDS = 60.0
"""What a guest is asked about itself."""
TRANSFER_SECONDS = 3600.0
"""A repository of gigabytes goes into an emulated guest."""
LOOK_SECONDS = 30.0
"""The same, where a person watches: a mute guest is reported sooner."""
WHOLE_NAME = "by a whole name, or by an id or its beginning"

VM_LIST = Verb("api", "vm.list", vm.VmFilter, vm.VmList)
VM_RESOLVE = Verb(
    "api",
    "vm.resolve",
    vm.VmRefs,
    vm.ResolvedList,
    notes="a reference that means no VM carries its error; a VM that is named twice appears once",
)
VM_PRUNABLE = Verb(
    "api", "vm.prunable", page.After, vm.VmList, notes="the VMs that hold nothing but their disks"
)
VM_SHOW = Verb("api", "vm.show", vm.VmRef, vm.VmView)
VM_ACCESS = Verb(
    "api",
    "vm.access",
    vm.VmAccess,
    vm.VmView,
    partials=True,
    seconds=BOOT_SECONDS,
    notes="how to reach the guest; `not_running` unless it runs; counts as use. A VM that is "
    "asleep wakes. With a `command`, what the image makes of it",
)
VM_CREATE = Verb(
    "api",
    "vm.create",
    vm_request.VmCreate,
    vm.VmView,
    idempotent=False,
    operation=True,
    partials=True,
    seconds=BUILD_SECONDS,
)
VM_START = Verb(
    "api",
    "vm.start",
    vm_request.VmStart,
    vm.VmView,
    idempotent=False,
    operation=True,
    partials=True,
    seconds=BOOT_SECONDS,
)
VM_RESTART = Verb(
    "api",
    "vm.restart",
    vm_request.VmRestart,
    vm.VmView,
    idempotent=False,
    operation=True,
    partials=True,
    seconds=BOOT_SECONDS,
)
VM_STOP = Verb(
    "api",
    "vm.stop",
    vm_request.VmStop,
    vm.VmView,
    operation=True,
    partials=True,
    seconds=END_SECONDS,
)
VM_KILL = Verb(
    "api", "vm.kill", vm_request.VmKill, vm.VmView, seconds=END_SECONDS, notes=WHOLE_NAME
)
VM_PAUSE = Verb("api", "vm.pause", vm.VmRef, vm.VmView, seconds=END_SECONDS)
VM_RESUME = Verb(
    "api",
    "vm.resume",
    vm.VmRef,
    vm.VmView,
    operation=True,
    partials=True,
    seconds=BOOT_SECONDS,
    notes="a paused or a suspended one; an operation when it is suspended",
)
VM_SUSPEND = Verb(
    "api",
    "vm.suspend",
    vm.VmRef,
    vm.VmView,
    operation=True,
    partials=True,
    seconds=SAVE_SECONDS,
    notes="after any error the guest goes on; `no_space` before it stands still",
)
VM_FORK = Verb(
    "api",
    "vm.fork",
    snapshot.VmFork,
    snapshot.Forked,
    idempotent=False,
    operation=True,
    partials=True,
    seconds=TRANSFER_SECONDS,
    notes="all of them or none; space and memory are checked for all before the first is made",
)

SNAPSHOT_CREATE = Verb(
    "api",
    "snapshot.create",
    snapshot.SnapshotCreate,
    snapshot.Snapshot,
    idempotent=False,
    operation=True,
    partials=True,
    seconds=SAVE_SECONDS,
    notes="`conflict` when the VM has one of that name; after any error the guest goes on and "
    "there is no snapshot",
)
SNAPSHOT_LIST = Verb("api", "snapshot.list", snapshot.SnapshotFilter, snapshot.SnapshotList)
SNAPSHOT_SHOW = Verb(
    "api",
    "snapshot.show",
    snapshot.SnapshotRef,
    snapshot.Snapshot,
    seconds=ANSWER_SECONDS,
    notes="reads its files to find damage",
)
SNAPSHOT_RESTORE = Verb(
    "api",
    "snapshot.restore",
    snapshot.SnapshotRestore,
    vm.VmView,
    idempotent=False,
    operation=True,
    partials=True,
    seconds=BOOT_SECONDS,
    notes="`conflict` with `details.lost` unless forced; `incompatible` says what differs, "
    "`invalid` what is damaged, and then nothing has changed",
)
SNAPSHOT_DELETE = Verb(
    "api",
    "snapshot.delete",
    snapshot.SnapshotDelete,
    snapshot.SnapshotsDeleted,
    seconds=ANSWER_SECONDS,
    notes="`not_found` names what is not there, and then none is deleted; `conflict` while one is "
    "being restored or copied",
)
TEMPLATE_LIST = Verb("api", "template.list", page.After, template.TemplateList)
TEMPLATE_SHOW = Verb(
    "api",
    "template.show",
    template.TemplateRef,
    template.Template,
    seconds=ANSWER_SECONDS,
    notes="reads its files to find damage",
)
TEMPLATE_PRUNE = Verb(
    "api",
    "template.prune",
    template.TemplatePrune,
    image_work.Pruned,
    seconds=ANSWER_SECONDS,
    notes="VMs that wait for a user go with their template",
)
VM_SET = Verb(
    "api",
    "vm.set",
    vm_request.VmSet,
    vm.VmView,
    seconds=END_SECONDS,
    notes="`nat` and `allow` are one policy: one alone means that the other is none",
)
VM_RENAME = Verb(
    "api",
    "vm.rename",
    vm_request.VmRename,
    vm.VmView,
    seconds=END_SECONDS,
    notes="`conflict` when the name is taken, or when an egress list names the VM",
)
VM_KEEP = Verb(
    "api",
    "vm.keep",
    vm.VmRef,
    vm.VmView,
    seconds=END_SECONDS,
    notes="a VM with a lease outlives, from now on, the command that holds it",
)
VM_PUBLISH = Verb(
    "api",
    "vm.publish",
    vm_request.VmPublish,
    vm.VmView,
    seconds=ANSWER_SECONDS,
    notes="the VMM first, then the row; `conflict` names the VM or the process that has the port, "
    "`denied` is for ports below 1024 in user mode",
)
VM_UNPUBLISH = Verb(
    "api",
    "vm.unpublish",
    vm_request.VmUnpublish,
    vm.VmView,
    seconds=ANSWER_SECONDS,
    notes="`not_found` for what the VM does not publish; then nothing changes",
)
VM_DELETE = Verb(
    "api", "vm.delete", vm_request.VmDelete, vm.VmView, seconds=END_SECONDS, notes=WHOLE_NAME
)
VM_STATS = Verb("api", "vm.stats", vm.VmRef, vm.VmStats, seconds=LOOK_SECONDS)
VM_PORTS = Verb("api", "vm.ports", vm.VmRef, vm.PortList, seconds=LOOK_SECONDS)
VM_EXEC = Verb(
    "api",
    "vm.exec",
    vm_request.VmExec,
    vm_request.GuestOutput,
    idempotent=False,
    seconds=630.0,
    notes="by the guest's agent, for a guest whose ssh is broken; sessions go over ssh",
)
VM_HEALTH = Verb("api", "vm.health", vm.VmRef, vm.Health, seconds=ANSWER_SECONDS)

WORKSPACE_PLAN = Verb(
    "api",
    "workspace.plan",
    workspace.WorkspacePlanRequest,
    workspace.WorkspacePlan,
    partials=True,
    seconds=300.0,
    notes="needs no VM; refuses what `workspace.prepare` would refuse of the repository",
)
WORKSPACE_PREPARE = Verb(
    "api",
    "workspace.prepare",
    workspace.WorkspacePrepare,
    workspace.Prepared,
    idempotent=False,
    operation=True,
    partials=True,
    seconds=TRANSFER_SECONDS,
)
WORKSPACE_SYNC = Verb(
    "api",
    "workspace.sync",
    workspace.WorkspaceSync,
    workspace.Prepared,
    idempotent=False,
    operation=True,
    partials=True,
    seconds=TRANSFER_SECONDS,
    notes="`conflict` names files that host and guest have both changed",
)
WORKSPACE_STATUS = Verb(
    "api",
    "workspace.status",
    workspace.WorkspaceRef,
    workspace.WorkspaceStatus,
    operation=True,
    partials=True,
    seconds=TRANSFER_SECONDS,
)
WORKSPACE_EXPORT = Verb(
    "api",
    "workspace.export",
    workspace.WorkspaceExport,
    workspace.Exported,
    operation=True,
    partials=True,
    seconds=TRANSFER_SECONDS,
)
WORKSPACE_APPLY = Verb(
    "api",
    "workspace.apply",
    workspace.WorkspaceApply,
    workspace.Applied,
    idempotent=False,
    operation=True,
    partials=True,
    seconds=TRANSFER_SECONDS,
    notes="`conflict` names the files, and then nothing has changed",
)

VM_COMMIT = Verb(
    "api",
    "vm.commit",
    image_work.VmCommit,
    image.Image,
    idempotent=False,
    operation=True,
    partials=True,
    seconds=BUILD_SECONDS,
    notes="`conflict` unless the VM is stopped",
)
IMAGE_BUILD = Verb(
    "api",
    "image.build",
    image_work.ImageFileBuild,
    image.Image,
    idempotent=False,
    operation=True,
    partials=True,
    seconds=BUILD_SECONDS,
    notes="from a file, in a VM of its own; `invalid` names the line",
)
IMAGE_SHOW = Verb("api", "image.show", image.Ref, image.Image, notes="with the VMs that use it")
IMAGE_PRUNE = Verb(
    "api", "image.prune", image_work.Prune, image_work.Pruned, seconds=TRANSFER_SECONDS
)
SYSTEM_USAGE = Verb(
    "api", "system.usage", vm.Empty, image_work.StorageUsage, seconds=ANSWER_SECONDS
)
IMAGE_DELETE = Verb(
    "api",
    "image.delete",
    image.Ref,
    image.Deleted,
    seconds=ANSWER_SECONDS,
    notes="`conflict` names the VMs that use it, those that are being created too",
)
KERNEL_DELETE = Verb(
    "api",
    "kernel.delete",
    image.Ref,
    image.Deleted,
    seconds=ANSWER_SECONDS,
    notes="as `image.delete`",
)

OPS_LIST = Verb("api", "ops.list", page.After, operation.OperationList)
OPS_SHOW = Verb("api", "ops.show", operation.OperationRef, operation.Operation)
OPS_CANCEL = Verb(
    "api", "ops.cancel", operation.OperationRef, operation.Operation, seconds=END_SECONDS
)

KEPT_CLOSE = Verb(
    "api",
    "kept.close",
    vm.Empty,
    type(None),
    seconds=LOOK_SECONDS,
    notes="the launcher, before it stops the services: VMs that no user has made are deleted",
)

SUPERVISOR_READY = Verb(
    "api",
    "supervisor.ready",
    machine.SupervisorReady,
    type(None),
    seconds=30.0,
    notes="a supervisor serves its VM",
)
