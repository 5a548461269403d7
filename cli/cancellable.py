"""A client whose many calls at once can be cancelled after a signal interrupted them."""

import time

from shared.bus.client import Client, Outcome
from shared.bus.envelope import Envelope, Kind


class CancellableClient(Client):
    """Remembers what its one ``call_many`` asked for."""

    _asked: tuple[Envelope, ...] = ()

    def _exchange_all(self, requests: dict[Envelope, dict[str, object]]) -> dict[Envelope, Outcome]:
        self._asked = self._asked or tuple(requests)  # what is asked again is among these
        return super()._exchange_all(requests)

    def cancel_all(self, timeout: float) -> list[Outcome]:
        """End what was asked for, in its order: each is cancelled, or had been done before."""
        deadline = time.monotonic() + timeout
        cancels = [
            Envelope(Kind.CANCEL, asked.request_id, asked.service, asked.verb, deadline)
            for asked in self._asked
        ]
        outcomes = super()._exchange_all({cancel: {} for cancel in cancels})
        return [outcomes[cancel] for cancel in cancels]
