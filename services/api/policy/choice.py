"""What a user has chosen of a VM's specification, by its fields."""

from typing import Any

from services.api.policy.network_policy import allowed_in
from shared.contract.labels import merged
from shared.contract.messages.vm import NetworkMode, VmSpec
from shared.contract.messages.vm_request import VmChoice
from shared.errors import BangerError, Code
from shared.vmm.registry import AUTO, check_wanted

AT_REST = ("vcpu", "memory_mib", "disk_bytes", "overlay_bytes", "vmm")
"""What changes on a VM that does not run, and holds from its next start on."""


def chosen(request: VmChoice, mode: NetworkMode, before: VmSpec | None = None) -> dict[str, Any]:
    """The fields of ``VmSpec`` that ``request`` gives, ``nat`` and ``allow`` both or neither.

    ``before`` is what the VM has now; None for a new one.

    Raises:
        BangerError: ``invalid`` for a VMM that there is not, for a disk that would shrink, and as
            ``allowed_in`` and ``merged``.
    """
    names = VmChoice.__struct_fields__
    given = {name: value for name in names if (value := getattr(request, name)) is not None}
    check_wanted(given.get("vmm", AUTO))
    if "labels" in given:
        given["labels"] = merged(before.labels if before else {}, given["labels"])
    if given.get("idle_suspend") == "default":
        given["idle_suspend"] = None
    if before:
        _refuse_smaller("disk", given.get("disk_bytes"), before.disk_bytes)
        _refuse_smaller("system disk", given.get("overlay_bytes"), before.overlay_bytes)
    if "nat" in given or "allow" in given:
        nat = given.setdefault("nat", False)
        given["allow"] = allowed_in(mode, nat=nat, allow=given.get("allow", []))
    return given


def _refuse_smaller(title: str, wanted: int | None, present: int) -> None:
    if wanted is not None and wanted < present:
        raise BangerError(
            Code.INVALID,
            f"the {title} has {present} bytes and cannot shrink",
            hint="disks only grow",
        )
