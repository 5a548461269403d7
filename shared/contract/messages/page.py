"""Lists come in pages, so that no message reaches the limit of its size (docs/decisions/0031)."""

import msgspec


class After(msgspec.Struct, kw_only=True):
    """A request for a page of a list: what comes ``after`` the cursor, from the start without one.

    A cursor is the ``next`` of the page before. Only the service that made it can read it.
    """

    after: str = ""


class Paged(msgspec.Struct, kw_only=True):
    """A page of a list. ``next`` is the cursor of the next page, empty on the last."""

    next: str = ""
