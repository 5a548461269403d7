"""Creations and deletions that meet at one image."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from services.api.policy.holds import BootHolds
from shared.errors import BangerError, Code


@dataclass
class Entry:
    id: str
    name: str = "debian"


OLD, NEW = Entry("old"), Entry("new")


def answers(*entries: Entry) -> Callable[[], Awaitable[Entry]]:
    """Resolves to each of these in turn."""
    left = iter(entries)

    async def resolve() -> Entry:
        return next(left)

    return resolve


def test_a_held_entry_is_not_deleted_and_its_holders_are_named() -> None:
    async def scene() -> None:
        holds = BootHolds("image")
        async with holds.held("web", answers(OLD)), holds.held("db", answers(OLD)):
            with pytest.raises(BangerError) as refused, holds.removing(OLD):
                pass
        assert refused.value.code is Code.CONFLICT
        assert refused.value.message == "image debian is in use, to create web, db"
        assert refused.value.details == {"vms": ["web", "db"]}

    asyncio.run(scene())


def test_a_creation_without_a_name_holds_it_too() -> None:
    async def scene() -> None:
        holds = BootHolds("kernel")
        async with holds.held("", answers(OLD)):
            with pytest.raises(BangerError) as refused, holds.removing(OLD):
                pass
        assert refused.value.message == "kernel debian is in use, to create a VM"

    asyncio.run(scene())


def test_an_entry_is_free_once_nobody_holds_it() -> None:
    async def scene() -> None:
        holds = BootHolds("image")
        with pytest.raises(RuntimeError):
            async with holds.held("web", answers(OLD)):
                raise RuntimeError("the creation failed")
        with holds.removing(OLD):
            pass

    asyncio.run(scene())


def test_other_entries_are_not_in_the_way() -> None:
    async def scene() -> None:
        holds = BootHolds("image")
        async with holds.held("web", answers(NEW)):
            with holds.removing(OLD):
                pass

    asyncio.run(scene())


def test_a_creation_that_meets_a_deletion_waits_for_it_and_resolves_again() -> None:
    async def scene() -> None:
        holds = BootHolds("image")
        with holds.removing(OLD):
            creation = holds.held("web", answers(OLD, NEW))
            taking = asyncio.ensure_future(creation.__aenter__())
            await asyncio.sleep(0)
            assert not taking.done()
        assert await taking is NEW
        await creation.__aexit__(None, None, None)

    asyncio.run(scene())


def test_an_entry_deleted_while_it_was_resolved_is_resolved_again() -> None:
    async def scene() -> None:
        holds = BootHolds("image")
        asked: list[str] = []

        async def resolve() -> Entry:
            if not asked:
                with holds.removing(OLD):  # begins and ends before the answer is here
                    pass
            asked.append("")
            return OLD if len(asked) == 1 else NEW

        async with holds.held("web", resolve) as entry:
            assert entry is NEW

    asyncio.run(scene())


def test_an_entry_that_was_made_again_after_its_deletion_may_be_held() -> None:
    async def scene() -> None:
        holds = BootHolds("image")
        with holds.removing(OLD):
            pass
        async with holds.held("web", answers(OLD)) as entry:
            assert entry is OLD

    asyncio.run(scene())


def test_two_deletions_of_one_entry_are_not_let_in_at_once() -> None:
    async def scene() -> None:
        holds = BootHolds("kernel")
        with holds.removing(OLD):
            with pytest.raises(BangerError) as refused, holds.removing(OLD):
                pass
            assert refused.value.code is Code.CONFLICT

    asyncio.run(scene())
