"""A nat that touches nothing."""

from shared.bus.handlers import Call, handles
from shared.contract.messages.network import NatUnjail
from shared.contract.messages.vm import Empty
from shared.contract.verbs import nat
from shared.errors import BangerError, Code


class FakeNat:
    """``applied`` counts what it was asked to apply."""

    def __init__(self) -> None:
        self.applied = 0

    @handles(nat.APPLY)
    async def apply(self, _request: Empty, _call: Call) -> None:
        self.applied += 1

    @handles(nat.UNJAIL)
    async def unjail(self, request: NatUnjail, _call: Call) -> None:
        raise BangerError(Code.NOT_RUNNING, f"{request.id} has no jail")
