"""Why a session in a guest ended without the guest's word, or never began: the services know."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from cli.client.connection import connect_if_running
from shared.contract.reference import by_id
from shared.contract.verbs import api
from shared.errors import BangerError, Code

PATIENCE_SECONDS = 2.0
"""How long the services may take to notice that a VMM has ended."""
_PAUSE = 0.05


@contextmanager
def explained() -> Iterator[None]:
    """Inside, the error of a session that was lost says what has become of its VM.

    Raises:
        BangerError: ``lost`` with the VM's name and state; others as they were.
    """
    try:
        yield
    except BangerError as error:
        vm = error.details.get("vm")
        if vm is None:
            raise
        name, became = _became_of(vm, patient=error.code is Code.LOST)
        moment = "while the command ran" if error.code is Code.LOST else "before the command began"
        if became:
            raise BangerError(Code.LOST, f"{name} {became} {moment}") from None
        raise BangerError(
            error.code,
            error.message.replace("the guest", name, 1),
            hint=error.hint.replace(vm, name) or f"check the guest: banger vm health {name}",
            details=error.details,
        ) from None


def _became_of(vm_id: str, *, patient: bool) -> tuple[str, str]:
    """The VM's name, and "was stopped" or the like; "" while it runs or nobody can say."""
    limit = time.monotonic() + (PATIENCE_SECONDS if patient else 0.0)
    while True:
        name, became = _ask(vm_id, max(1.0, limit - time.monotonic()))
        if became or time.monotonic() >= limit:
            return name, became
        time.sleep(_PAUSE)


def _ask(vm_id: str, seconds: float) -> tuple[str, str]:
    try:
        with connect_if_running() as client:
            vm = client.ask(api.VM_SHOW(ref=by_id(vm_id)), timeout=seconds, retry=False).vm
    except BangerError as error:
        return vm_id, "was deleted" if error.code is Code.NOT_FOUND else ""
    match vm.state:
        case "running" | "paused" | "starting":
            return vm.name, ""
        case "failed":
            return vm.name, f"failed ({vm.reason})" if vm.reason else "failed"
        case "stopping":
            return vm.name, "was being stopped"
        case "suspended":
            return vm.name, "was suspended"
    return vm.name, "was stopped"
