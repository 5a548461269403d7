"""A nat that touches nothing."""

from shared.bus.handlers import Call, handles
from shared.contract.messages.network import NatApply, NatUnjail
from shared.contract.verbs import nat
from shared.errors import BangerError, Code


class FakeNat:
    """Of a host with a bridge or without one. ``applied`` counts what it was asked to apply."""

    def __init__(self, *, bridge: bool = True) -> None:
        self.applied = 0
        self._bridge = bridge

    @handles(nat.APPLY)
    async def apply(self, _request: NatApply, _call: Call) -> None:
        if not self._bridge:
            raise BangerError(Code.UNAVAILABLE, "there is no bridge")
        self.applied += 1

    @handles(nat.UNJAIL)
    async def unjail(self, request: NatUnjail, _call: Call) -> None:
        code = Code.NOT_RUNNING if self._bridge else Code.UNAVAILABLE
        raise BangerError(code, f"{request.id} has no jail")
