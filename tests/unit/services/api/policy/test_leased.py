"""Which VMs are leased."""

import asyncio

from services.api.policy.leased import LeasedVms
from tests.example import example_vm


def test_only_a_vm_with_a_lease_is_looked_after() -> None:
    async def act() -> None:
        leased = LeasedVms()
        leased.add(example_vm(id="a"))
        waiting = asyncio.create_task(leased.some())
        await asyncio.sleep(0)
        assert not waiting.done()
        row = example_vm(id="b", lease="0123456789abcdef")
        leased.add(row)
        await asyncio.wait_for(waiting, 5)
        leased.discard(row.id)
        assert not leased.leases

    asyncio.run(act())
