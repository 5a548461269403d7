"""Deleting images and kernels: not while a VM needs them to boot."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cli.client.batch import Answer, Answers, tell
from cli.terminal.output import Settings
from shared.errors import BangerError, Code

if TYPE_CHECKING:
    from shared.bus.client import Client


def delete_unused(
    kind: str, refs: Sequence[str], settings: Settings, output: str, *, quiet: bool
) -> int:
    """Delete each ``kind`` ("image" or "kernel") that ``refs`` mean, and print those.

    Returns the exit status: 0, or that of the first failure, ``conflict`` where VMs use one.
    """
    from cli.client.connection import connect

    answers: Answers = {}
    with connect() as client:
        for ref in dict.fromkeys(refs):
            try:
                answers[ref] = _delete(client, kind, ref)
            except BangerError as error:
                answers[ref] = error
    return tell(answers, settings, output, quiet=quiet)


def _delete(client: "Client", kind: str, ref: str) -> Answer:
    meant = client.call("images", f"{kind}.show", {"ref": ref})
    _refuse_if_used(client, kind, meant["id"], meant["name"])
    return Answer(meant, client.call("images", f"{kind}.delete", {"ref": meant["id"]}))


def _refuse_if_used(client: "Client", kind: str, identity: str, name: str) -> None:
    """Raises ``conflict`` naming the VMs that use it, running or not."""
    rows = [view["vm"] for view in client.call("api", "vm.list")["vms"]]
    users = [row["name"] for row in rows if row[f"{kind}_id"] == identity]
    if users:
        raise BangerError(
            Code.CONFLICT,
            f"the {kind} {name} is what {', '.join(users)} boots from",
            hint=f"banger vm delete {' '.join(users)}",
            details={"vms": users},
        )
