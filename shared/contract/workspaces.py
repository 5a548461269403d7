"""The workspaces of a VM: which one a user means, and how many there may be."""

from typing import TYPE_CHECKING

from shared.errors import BangerError, Code

if TYPE_CHECKING:
    from shared.contract.messages.vm import Vm
    from shared.contract.messages.workspace import Workspace

MOST_WORKSPACES = 16
"""Of one VM."""


def find_workspace(vm: "Vm", guest_path: str) -> "Workspace":
    """The workspace at ``guest_path``, or the VM's only one for an empty path.

    Raises:
        BangerError: ``not_found``; ``ambiguous`` when there are several and none was named.
    """
    there = [each.guest_path for each in vm.workspaces]
    meant = [each for each in vm.workspaces if guest_path in ("", each.guest_path)]
    if not there:
        raise BangerError(
            Code.NOT_FOUND,
            f"{vm.name} has no workspace",
            hint=f"place a repository in it: banger vm workspace prepare {vm.name}",
        )
    if not meant:
        raise BangerError(
            Code.NOT_FOUND,
            f"{vm.name} has no workspace at {guest_path}",
            hint=f"it has: {', '.join(there)}",
            details={"guest_paths": there},
        )
    if len(meant) > 1:
        raise BangerError(
            Code.AMBIGUOUS,
            f"{vm.name} has {len(meant)} workspaces: {', '.join(there)}",
            hint=f"say which one: --guest-path {there[-1]}",
            details={"guest_paths": there},
        )
    return meant[0]


def first_workspace(vm: "Vm") -> str:
    """The guest path where commands start that name no directory; "" for the home directory."""
    return vm.workspaces[0].guest_path if vm.workspaces else ""


def with_workspace(vm: "Vm", workspace: "Workspace") -> "list[Workspace]":
    """The VM's workspaces and this one, which replaces that of the same guest path.

    Raises:
        BangerError: ``conflict`` when there would be more than ``MOST_WORKSPACES``.
    """
    check_room(vm, workspace.guest_path)
    others = [each for each in vm.workspaces if each.guest_path != workspace.guest_path]
    return [*others, workspace]


def check_room(vm: "Vm", guest_path: str) -> None:
    """Raises ``conflict`` when the VM can have no workspace more, and this would be one."""
    there = [each.guest_path for each in vm.workspaces]
    if guest_path not in there and len(there) >= MOST_WORKSPACES:
        raise BangerError(
            Code.CONFLICT,
            f"{vm.name} has {len(there)} workspaces, the most that a VM can have",
            hint=f"replace one of them: --guest-path {there[0]}",
        )
