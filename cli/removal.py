"""Deleting an image or a kernel: not while a VM needs it to boot."""

from typing import TYPE_CHECKING

from shared.errors import BangerError, Code

if TYPE_CHECKING:
    from shared.bus.client import Client


def delete_unused(kind: str, ref: str) -> str:
    """Delete the ``kind`` ("image" or "kernel") that ``ref`` means; returns its name.

    Raises:
        BangerError: ``conflict`` naming the VMs that use it, running or not.
    """
    from cli.call import connect

    with connect() as client:
        meant = client.call("images", f"{kind}.show", {"ref": ref})
        _refuse_if_used(client, kind, meant["id"], meant["name"])
        client.call("images", f"{kind}.delete", {"ref": meant["id"]})
    return str(meant["name"])


def _refuse_if_used(client: "Client", kind: str, identity: str, name: str) -> None:
    rows = [view["vm"] for view in client.call("api", "vm.list")["vms"]]
    users = [row["name"] for row in rows if row[f"{kind}_id"] == identity]
    if users:
        raise BangerError(
            Code.CONFLICT,
            f"the {kind} {name} is what {', '.join(users)} boots from",
            hint=f"banger vm delete {' '.join(users)}",
            details={"vms": users},
        )
