"""``python -m tests.integration.nat_service``: a nat that notes what dns asks it to open."""

import sys

import msgspec

from shared.bus.actor import Actor
from shared.bus.handlers import Call, handles
from shared.bus.runner import start_service
from shared.contract.messages.network import NatAllow
from shared.contract.messages.vm import Empty
from shared.contract.verb import Verb
from shared.errors import BangerError, Code
from shared.logs import Log
from shared.paths import Paths


class Refuse(msgspec.Struct, kw_only=True):
    refuse: bool


class Noted(msgspec.Struct, kw_only=True):
    asked: list[NatAllow]


class NotingNat(Actor):
    """Service ``nat``, of which only ``nat.allow`` is there."""

    def __init__(self, paths: Paths, log: Log) -> None:
        super().__init__("nat", paths, log)
        self._asked: list[NatAllow] = []
        self._refuse = False

    @handles(Verb("nat", "nat.allow", NatAllow, type(None)))
    async def allow(self, request: NatAllow, _call: Call) -> None:
        self._asked.append(request)
        if self._refuse:
            raise BangerError(Code.CONFLICT, "told to refuse")

    @handles(Verb("nat", "noting.refuse", Refuse, type(None)))
    async def refuse(self, request: Refuse, _call: Call) -> None:
        self._refuse = request.refuse

    @handles(Verb("nat", "noting.take", Empty, Noted))
    async def take(self, _request: Empty, _call: Call) -> Noted:
        """What was asked since the last time."""
        taken, self._asked = self._asked, []
        return Noted(asked=taken)


if __name__ == "__main__":
    own_paths = Paths.from_environment()
    sys.exit(start_service("nat", own_paths, lambda log, _: NotingNat(own_paths, log)))
