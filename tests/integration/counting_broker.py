"""``python -m tests.integration.counting_broker``: the broker, which writes down every request."""

import sys

from services.broker import __main__, service
from services.broker.core import Command, RoutingTable
from shared.bus import envelope
from shared.bus.envelope import Kind
from shared.errors import BangerError
from shared.paths import Paths

NAME = "requests"
"""The file in the run directory: a line "service verb" for each request, "vm" for supervisors."""


class CountingTable(RoutingTable):
    """Routes as the broker does."""

    def on_message(self, peer: bytes, frames: list[bytes], now: float) -> list[Command]:
        try:
            header = envelope.decode(frames[0])
        except (BangerError, IndexError):
            header = None
        if header and header.kind is Kind.REQUEST:
            with (Paths.from_environment().run / NAME).open("a") as file:
                file.write(f"{header.service.partition(':')[0]} {header.verb}\n")
        return super().on_message(peer, frames, now)


if __name__ == "__main__":
    service.RoutingTable = CountingTable  # type: ignore[attr-defined]
    sys.exit(__main__.main())
