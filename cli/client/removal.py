"""Deleting images and kernels."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cli.client.batch import Answer, Answers, tell
from cli.terminal.output import Settings
from shared.errors import BangerError

if TYPE_CHECKING:
    from shared.bus.client import Client

DELETE_SECONDS = 60.0


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
    body = {"ref": meant["id"]}
    return Answer(meant, client.call("api", f"{kind}.delete", body, timeout=DELETE_SECONDS))
