"""What somebody who is about to work in a guest is told: that a repository of the host is ahead."""

import asyncio
import contextlib

from services.api.policy.repository_head import repository_head
from shared.contract.messages.vm import Vm
from shared.contract.messages.workspace import Workspace

LOOK_SECONDS = 1.0
"""A filesystem that does not answer keeps nobody from his guest."""


class MovedHeads:
    """Tells of each move once."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], str] = {}
        self._looking: set[str] = set()

    async def head_of(self, top: str) -> str:
        """As ``repository_head``, without waiting long for a disk; "" meanwhile."""
        if top in self._looking:
            return ""
        self._looking.add(top)
        look = asyncio.ensure_future(asyncio.to_thread(repository_head, top))
        look.add_done_callback(lambda _: self._looking.discard(top))
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(asyncio.shield(look), LOOK_SECONDS)
        return ""

    async def notices(self, vm: Vm) -> list[str]:
        """A sentence for each workspace whose repository has moved since it was prepared, and of
        which this was not said before."""
        heads = await asyncio.gather(*(self.head_of(each.host_path) for each in vm.workspaces))
        told = zip(vm.workspaces, heads, strict=True)
        return [
            _sentence(vm, each, head) for each, head in told if self._is_news(vm.id, each, head)
        ]

    def forget(self, vm_id: str) -> None:
        for key in [key for key in self._told if key[0] == vm_id]:
            del self._told[key]

    def _is_news(self, vm_id: str, workspace: Workspace, head: str) -> bool:
        key = vm_id, workspace.guest_path
        if not head or head in (workspace.head, self._told.get(key)):
            return False
        self._told[key] = head
        return True


def _sentence(vm: Vm, workspace: Workspace, head: str) -> str:
    which = f" --guest-path {workspace.guest_path}" if len(vm.workspaces) > 1 else ""
    before = workspace.head[:7] or "no commit"
    return (
        f"the host's repository {workspace.host_path} has moved from {before} to {head[:7]} "
        f"since it was prepared; take it in with: banger vm workspace sync {vm.name}{which}"
    )
