"""The numbers of user networks: read from the end of a saved machine, and made to fit."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from services.vm_supervisor.drivers.qemu.hubs import CLOSED, OPEN, HubEnd
from services.vm_supervisor.drivers.qemu.saved_networks import (
    MOST,
    begins_with_configuration,
    network_instances,
    renumber_networks,
)
from shared.errors import BangerError, Code
from shared.vm import files


def state_file(root: Path, *numbers: Any, before: bytes = b"QEVM\0\0\0\3\x07\x06\x00\x00") -> Path:
    devices = [{"name": "timer", "instance_id": 0}]
    devices += [{"name": "slirp", "instance_id": number} for number in numbers]
    text = json.dumps({"devices": devices}).encode()
    path = root / "state"
    path.write_bytes(before + b"\x06" + len(text).to_bytes(4, "big") + text)
    return path


@pytest.mark.parametrize("numbers", [[], [0], [0, 0], [0, 5]])
def test_numbers_are_in_the_description_at_the_end(tmp_path: Path, numbers: list[int]) -> None:
    assert network_instances(state_file(tmp_path, *numbers)) == numbers


def test_only_the_end_of_a_long_file_is_read(tmp_path: Path) -> None:
    assert network_instances(state_file(tmp_path, 0, 2, before=b"\x06" * (3 << 20))) == [0, 2]


@pytest.mark.parametrize("numbers", [[], [0, 0], [0, 7]])
def test_device_state_that_was_saved_alone_has_them_in_the_heads_of_its_sections(
    tmp_path: Path, numbers: list[int]
) -> None:
    path = tmp_path / files.DEVICE_STATE
    heads = [b"\x04\0\0\0\1\x05slirp" + number.to_bytes(4, "big") for number in numbers]
    path.write_bytes(b"QEVM\0\0\0\3\x04" + b"state\x7e".join(heads) + b"\0")
    assert network_instances(path) == numbers
    assert not begins_with_configuration(path)


def test_all_that_qemu_migrates_begins_with_the_name_of_the_machine(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"QEVM\0\0\0\3\x07\0\0\0\7microvm")
    assert begins_with_configuration(path)
    path.write_bytes(b"QEVM")
    assert begins_with_configuration(path), "what is cut off is refused by its end"


@pytest.mark.parametrize(
    "content", [b"", b"\x06", b"\x06\0\0\0\x02{]", b"QEVM\0\0\0\3\x07" + b"x" * 4096]
)
def test_file_without_a_description_is_damaged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state"
    path.write_bytes(content)
    with pytest.raises(BangerError) as caught:
        network_instances(path)
    assert caught.value.code is Code.INVALID


@pytest.mark.parametrize("number", ["one", MOST + 1, None])
def test_number_that_cannot_be_one_is_not_believed(tmp_path: Path, number: object) -> None:
    with pytest.raises(BangerError):
        network_instances(state_file(tmp_path, 0, number))


class NewQemu:
    """Numbers its user networks as QEMU 8.2 does, and lets no id be used twice."""

    def __init__(self, end: HubEnd) -> None:
        self.end = end
        self.numbers = {"net0": 0, end.network: 1}
        self.others = {end.port}
        self.most_at_once = 0

    async def execute(self, command: str, arguments: dict[str, object] | None) -> object:
        name = str((arguments or {}).get("id"))
        match command:
            case "human-monitor-command":
                return "".join(f"{each}: index=0\r\n" for each in (*self.numbers, *self.others))
            case "netdev_add":
                assert name not in self.numbers.keys() | self.others
                if (arguments or {})["type"] == "user":
                    self.numbers[name] = max(self.numbers.values()) + 1
                else:
                    self.others.add(name)
            case "netdev_del":
                assert name in self.numbers.keys() | self.others
                self.numbers.pop(name, None)
                self.others.discard(name)
        self.most_at_once = max(self.most_at_once, len(self.numbers))
        return {}


@pytest.mark.parametrize("end", [OPEN, CLOSED])
@pytest.mark.parametrize("number", [1, 2, 3, 40])
def test_the_second_network_gets_its_number(end: HubEnd, number: int) -> None:
    qemu = NewQemu(end)
    asyncio.run(renumber_networks(qemu.execute, [0, number]))
    assert qemu.numbers == {"net0": 0, end.network: number}
    assert qemu.others == {end.port}
    assert qemu.most_at_once <= 3


@pytest.mark.parametrize("numbers", [[], [0], [0, 0]])
def test_nothing_is_done_where_numbers_fit(numbers: list[int]) -> None:
    async def never(_command: str, _arguments: dict[str, object] | None) -> object:
        raise AssertionError

    asyncio.run(renumber_networks(never, numbers))
