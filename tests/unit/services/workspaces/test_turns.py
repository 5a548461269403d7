"""Who has the turn, and who waits for it."""

import asyncio

from services.workspaces.turns import Turns


def test_those_of_one_name_are_one_after_the_other_and_of_another_at_once() -> None:
    async def scenario() -> None:
        turns, seen, waited = Turns(), [], []
        go = asyncio.Event()

        async def work(name: str, label: str) -> None:
            async with turns.turn(name, lambda: waited.append(label)):
                seen.append(label)
                await go.wait()

        tasks = [
            asyncio.create_task(work(name, label))
            for name, label in (("web", "1"), ("web", "2"), ("db", "3"), ("web", "4"))
        ]
        await asyncio.sleep(0)
        assert (seen, waited, turns.waiting) == (["1", "3"], ["2", "4"], 2)
        tasks[1].cancel()
        go.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (seen, turns.waiting) == (["1", "3", "4"], 0)

    asyncio.run(scenario())


def test_a_name_that_nobody_uses_is_forgotten() -> None:
    async def scenario() -> None:
        turns = Turns()
        async with turns.turn("web", lambda: None):
            assert list(turns._locks) == ["web"]
        assert turns._locks == {}

    asyncio.run(scenario())
