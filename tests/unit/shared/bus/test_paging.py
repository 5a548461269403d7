"""Pages of lists: cut by their size, and put together again."""

import asyncio

import pytest

from shared.bus import paging as under_test
from shared.bus.paging import Page, cut, pages
from shared.contract.messages.page import Paged
from shared.errors import BangerError, Code

LETTERS = [(letter, letter * 100) for letter in "dbac"]


class Words(Paged, kw_only=True):
    words: list[str]


def test_an_item_that_is_too_large_has_a_page_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "PAGE_BYTES", 10)
    page: Page[str] = Page()
    assert page.takes("x" * 100)
    assert not page.takes("y")
    assert page.items == ["x" * 100]


@pytest.mark.parametrize(("size", "number"), [(10, 4), (250, 2), (1000, 1)])
def test_all_pages_are_the_whole_list_in_the_order_of_its_keys(
    monkeypatch: pytest.MonkeyPatch, size: int, number: int
) -> None:
    monkeypatch.setattr(under_test, "PAGE_BYTES", size)

    async def ask(after: str) -> Words:
        words, cursor = cut(LETTERS, after)
        return Words(words=words, next=cursor)

    async def read() -> list[list[str]]:
        return [page.words async for page in pages(ask)]

    found = asyncio.run(read())
    assert len(found) == number
    assert [word[0] for page in found for word in page] == ["a", "b", "c", "d"]


def test_what_goes_between_two_pages_hides_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "PAGE_BYTES", 10)
    first, cursor = cut(LETTERS, "")
    second, _ = cut([entry for entry in LETTERS if entry[0] != "a"], cursor)
    assert (first[0][0], second[0][0]) == ("a", "b")


def test_a_page_that_leads_to_itself_is_refused() -> None:
    async def ask(_after: str) -> Words:
        return Words(words=[], next="x")

    async def read() -> None:
        async for _ in pages(ask):
            pass

    with pytest.raises(BangerError) as refused:
        asyncio.run(read())
    assert refused.value.code is Code.BAD_MESSAGE
