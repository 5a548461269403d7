"""Makes pages of lists, and lists of pages (docs/decisions/0031)."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Generic, TypeVar

import msgspec

from shared.contract.messages.page import Paged
from shared.errors import BangerError, Code

T = TypeVar("T")
P = TypeVar("P", bound=Paged)

PAGE_BYTES = 256 * 1024
"""Size of a page, encoded. An item that is larger has a page to itself."""


class Page(Generic[T]):
    """Items, as long as there is room for them."""

    def __init__(self) -> None:
        self.items: list[T] = []
        self._left = PAGE_BYTES

    def takes(self, item: T) -> bool:
        """Add ``item``; False when it has to wait for the next page."""
        size = len(msgspec.msgpack.encode(item))
        if self.items and size > self._left:
            return False
        self.items.append(item)
        self._left -= size
        return True


def cut(entries: Iterable[tuple[str, T]], after: str) -> tuple[list[T], str]:
    """The page of a list that begins after the key ``after``, and the cursor of the next page.

    ``entries`` are the keys and items of the whole list, each key once, in any order.
    """
    page: Page[T] = Page()
    last = ""
    for key, item in sorted(
        (entry for entry in entries if entry[0] > after), key=lambda entry: entry[0]
    ):
        if not page.takes(item):
            return page.items, last
        last = key
    return page.items, ""


async def pages(ask: Callable[[str], Awaitable[P]]) -> AsyncIterator[P]:
    """All pages of a list; ``ask`` gets the one after a cursor.

    A row that changes meanwhile may be on a page as it was before or after the change.
    """
    after = ""
    while True:
        page = await ask(after)
        yield page
        if not page.next:
            return
        if page.next == after:
            raise BangerError(Code.BAD_MESSAGE, "a page of a list leads to itself")
        after = page.next
