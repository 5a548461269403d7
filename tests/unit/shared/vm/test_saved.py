"""What a saved machine says of itself, what damage is noticed, and what keeps it from a start."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shared.errors import BangerError, Code
from shared.vm import files
from shared.vm.publish_saved import draft, publish
from shared.vm.saved import (
    MachineFacts,
    SavedDevice,
    SavedMachine,
    describe_files,
    differences,
    memory_form,
    read_saved,
)

FACTS: dict[str, Any] = {
    "vmm": "qemu",
    "vmm_version": "7.2",
    "accel": "tcg",
    "cpu": "QEMU's default",
    "tsc_khz": 2_596_130,
    "vcpus": 1,
    "memory_mib": 512,
    "network": "user",
    "devices": [SavedDevice(name="rootfs", bytes=4096, read_only=True)],
    "image_id": "e22c1a04e1272537",
    "image_digest": "sha256:e22c",
    "kernel_id": "d4007353c4100bd3",
}


def saved_machine(directory: Path, **changes: Any) -> SavedMachine:
    """The description of what is in ``directory``."""
    own = {"vm_id": "0123456789ab", "vm_name": "beta", "created": "2026-11-29T11:30:00Z"}
    known = {"memory": memory_form(directory), "files": describe_files(directory)}
    return SavedMachine(**FACTS | own | known | changes)


def published(root: Path) -> Path:
    with draft(root) as work:
        (work / files.MEMORY).write_bytes(b"memory")
        (work / files.DEVICE_STATE).write_bytes(b"state")
        (work / files.OVERLAY).write_bytes(b"overlay")
        publish(work, root / "s", saved_machine(work))
    return root / "s"


def test_what_was_published_is_read(tmp_path: Path) -> None:
    saved = read_saved(published(tmp_path))
    assert (saved.memory, saved.vm_name, saved.vcpus) == ("file", "beta", 1)
    assert set(saved.files) == {files.MEMORY, files.DEVICE_STATE, files.OVERLAY}


def test_memory_without_device_state_is_a_stream(tmp_path: Path) -> None:
    assert memory_form(tmp_path) is None
    (tmp_path / files.MEMORY).touch()
    assert memory_form(tmp_path) == "stream"


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _change(path: Path) -> None:
    path.write_bytes(b"X" + path.read_bytes()[1:])


@pytest.mark.parametrize(
    ("name", "harm", "words"),
    [
        (files.MEMORY, _truncate, "memory has 5 bytes instead of 6"),
        (files.MEMORY, _change, "the content of memory has changed"),
        (files.MEMORY, Path.unlink, "its file memory is missing"),
        (files.DEVICE_STATE, _change, "the content of device_state has changed"),
        (files.OVERLAY, _truncate, "overlay.ext4 has 6 bytes instead of 7"),
        (files.SAVED, _truncate, ""),
        (files.SAVED, lambda path: path.write_bytes(b"{"), "saved.json"),
    ],
)
def test_damage_is_named(
    tmp_path: Path, name: str, harm: Callable[[Path], object], words: str
) -> None:
    directory = published(tmp_path)
    harm(directory / name)
    if not words:  # the end of the description is a line break
        assert read_saved(directory)
        return
    with pytest.raises(BangerError) as caught:
        read_saved(directory)
    assert caught.value.code is Code.INVALID
    assert words in caught.value.message


def test_sums_are_not_looked_at_when_nobody_asks(tmp_path: Path) -> None:
    directory = published(tmp_path)
    _change(directory / files.MEMORY)
    assert read_saved(directory, check=False)


def test_nothing_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(BangerError) as caught:
        read_saved(tmp_path)
    assert caught.value.code is Code.NOT_FOUND


def test_format_of_another_banger_is_told(tmp_path: Path) -> None:
    directory = published(tmp_path)
    (directory / files.SAVED).write_bytes(b'{"version": 9}')
    with pytest.raises(BangerError) as caught:
        read_saved(directory)
    assert caught.value.code is Code.INCOMPATIBLE


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, []),
        ({"tsc_khz": 2_596_900}, []),
        ({"tsc_khz": 2_700_000}, ["clock"]),
        ({"tsc_khz": None}, ["clock"]),
        ({"vmm": "firecracker", "vmm_version": "1.12.1"}, ["firecracker would run it"]),
        ({"vmm_version": "8.0"}, ["qemu 7.2, and 8.0 is here"]),
        ({"accel": "kvm", "cpu": "Xeon"}, ["would run with kvm"]),
        ({"cpu": "max"}, ["would be max"]),
        ({"vcpus": 2, "memory_mib": 1024}, ["1 vCPU, and would have 2", "have 1024 MiB"]),
        ({"image_digest": "sha256:ffff", "image_id": "ffff"}, ["would be ffff"]),
        ({"kernel_id": "0000"}, ["would be 0000"]),
        ({"network": "bridge"}, ["would be bridge"]),
        ({"devices": []}, ["rootfs of 4096 bytes"]),
    ],
)
def test_each_difference_is_a_sentence(changes: dict[str, Any], words: list[str]) -> None:
    found = differences(MachineFacts(**FACTS), MachineFacts(**FACTS | changes))
    assert len(found) == len(words)
    assert all(word in sentence for word, sentence in zip(words, found, strict=True))


def test_facts_are_read_from_a_description(tmp_path: Path) -> None:
    encoded = (published(tmp_path) / files.SAVED).read_bytes()
    facts = msgspec.json.decode(encoded, type=MachineFacts)
    assert differences(facts, MachineFacts(**FACTS)) == []


def test_disks_alone_are_read_whatever_has_become_of_the_memory(tmp_path: Path) -> None:
    directory = published(tmp_path)
    (directory / files.MEMORY).unlink()
    saved = read_saved(directory, memory=False)
    assert (saved.memory, saved.vmm, saved.cpu, saved.devices) == (None, "", "", [])
    assert set(saved.files) == {files.OVERLAY}
    (directory / files.OVERLAY).unlink()
    with pytest.raises(BangerError, match=r"overlay\.ext4 is missing"):
        read_saved(directory, memory=False)
