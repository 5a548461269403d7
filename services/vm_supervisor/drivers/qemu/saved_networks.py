"""The numbers of user networks in a saved machine, and how a new QEMU gets the same ones.

QEMU numbers what it saves under one name. Before 8.2 all user networks had the number 0. Since then
a network that comes while the guest runs gets the highest number plus one (net/slirp.c). So a guest
whose way out was closed and opened has the networks 0 and 3, say, and a new QEMU, which has 0 and
1, would refuse the state of a network that it does not know. A saved machine ends with a
description of itself, which has the numbers (QEMU_VM_VMDESCRIPTION of migration/savevm.c). A device
state that was saved alone has no description; there the heads of its sections are looked for.
"""

import json
import os
import re
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from services.vm_supervisor.drivers.qemu.hubs import CLOSED, OPEN, netdev_arguments, network_ids
from shared.errors import BangerError, Code
from shared.vm import files

_PREAMBLE = 8
"""Bytes: the mark of a saved machine, and the version of the format."""
_CONFIGURATION = 0x07
_HEAD_OF_SECTION = re.compile(rb"\x05slirp(.{4})", re.DOTALL)
"""Length of the name, the name, the number."""
_DESCRIPTION = 0x06
_HEAD = 5
"""Bytes before the description: its mark, and its length as a big-endian number."""
_LONGEST = 1 << 20
_NAME = "slirp"
MOST = 10_000
"""A number that no guest reaches; higher ones are not believed."""


def network_instances(state: Path) -> list[int]:
    """The numbers in the file that a machine was saved to, in order.

    Raises:
        BangerError: ``invalid`` for a file that does not end as QEMU writes it.
    """
    with state.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _LONGEST))
        end = file.read()
    described = _description(end)
    alone = state.name == files.DEVICE_STATE and not begins_with_configuration(state)
    if described is None and alone:
        heads = _HEAD_OF_SECTION.finditer(end)
        return _believed(int.from_bytes(head[1], "big") for head in heads)
    try:
        devices = described["devices"]
        return _believed(int(each["instance_id"]) for each in devices if each["name"] == _NAME)
    except (KeyError, TypeError, ValueError):
        raise _unreadable() from None


def begins_with_configuration(state: Path) -> bool:
    """Whether what was saved begins with the name of its machine, as all that QEMU migrates does
    (QEMU_VM_CONFIGURATION). A file that is too short is judged when it is loaded."""
    with state.open("rb") as file:
        head = file.read(_PREAMBLE + 1)
    return len(head) <= _PREAMBLE or head[_PREAMBLE] == _CONFIGURATION


def _believed(found: Iterable[int]) -> list[int]:
    numbers = sorted(found)
    if numbers and numbers[-1] > MOST:
        raise _unreadable()
    return numbers


def _description(end: bytes) -> Any:
    """The description that ``end`` ends with; None without."""
    mark = end.rfind(_DESCRIPTION)
    while mark >= 0:
        length = int.from_bytes(end[mark + 1 : mark + _HEAD], "big")
        if mark + _HEAD + length == len(end):
            try:
                return json.loads(end[mark + _HEAD :])
            except ValueError:
                return None
        mark = end.rfind(_DESCRIPTION, 0, mark)
    return None


def _unreadable() -> BangerError:
    return BangerError(
        Code.INVALID,
        "the saved machine is damaged: its device state does not end as QEMU writes it",
    )


async def renumber_networks(
    execute: Callable[[str, dict[str, object] | None], Awaitable[object]], numbers: list[int]
) -> None:
    """Give the network that the second device's hub leads to the second of ``numbers``. QEMU was
    launched a moment ago, and the guest does not run."""
    if len(numbers) != 2 or numbers[1] <= 1:
        return
    answer = await execute("human-monitor-command", {"command-line": "info network"})
    end = OPEN if OPEN.network in network_ids(str(answer)) else CLOSED
    for name in (end.port, end.network):
        await execute("netdev_del", {"id": name})
    spares = [f"spare{number}" for number in range(1, numbers[1])]
    for before, spare in zip([None, *spares], spares, strict=False):
        await execute("netdev_add", {"type": "user", "id": spare, "restrict": True})
        if before:
            await execute("netdev_del", {"id": before})
    for option in end.netdevs:
        await execute("netdev_add", netdev_arguments(option))
    await execute("netdev_del", {"id": spares[-1]})
