"""Sizes as written and shown, and the host's shares."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contract.sizes import (
    BYTES_MOST,
    DISK_BYTES,
    MEMORY_MIB,
    VCPU_MOST,
    HostCapacity,
    check_sizes,
    default_memory_mib,
    default_vcpu,
    host,
    parse_bytes,
    show_bytes,
)
from shared.errors import BangerError, Code


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8G", 8 * 1024**3),
        ("8g", 8 * 1024**3),
        ("512MiB", 512 * 1024**2),
        ("512MB", 512 * 1024**2),
        ("1k", 1024),
        ("2T", 2 * 1024**4),
        (" 7 ", 7),
        ("0", 0),
    ],
)
def test_written_sizes_are_powers_of_1024(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    "text",
    [
        "",
        "G",
        "-1G",
        "1.5G",
        "8 G",
        "8P",
        "8GiBs",
        "eight",
        "1e9",
        "٣G",
        "9" * 16,
        "1025T",
        "9" * 15 + "T",
    ],
)
def test_what_is_no_size_is_invalid_and_quoted(text: str) -> None:
    with pytest.raises(BangerError) as caught:
        parse_bytes(text)
    assert caught.value.code is Code.INVALID
    assert repr(text) in caught.value.message


@pytest.mark.parametrize(
    ("size", "text"),
    [(8 * 1024**3, "8G"), (1536 * 1024**2, "1536M"), (1024, "1K"), (1000, "1000B"), (0, "0B")],
)
def test_sizes_are_shown_in_the_largest_unit_that_loses_nothing(size: int, text: str) -> None:
    assert show_bytes(size) == text


@given(st.integers(0, 10**15 - 1) | st.just(BYTES_MOST))
def test_shown_size_reads_back_as_itself(size: int) -> None:
    assert parse_bytes(show_bytes(size)) == size


@pytest.mark.parametrize(("cpus", "share"), [(1, 1), (3, 1), (4, 1), (8, 2), (16, 4), (64, 4)])
def test_a_quarter_of_the_cpus_between_one_and_four(cpus: int, share: int) -> None:
    assert default_vcpu(cpus) == share


@pytest.mark.parametrize(
    ("host", "share"), [(512, 512), (4096, 512), (16384, 2048), (65536, 8192), (262144, 8192)]
)
def test_an_eighth_of_the_memory_between_floor_and_cap(host: int, share: int) -> None:
    assert default_memory_mib(host) == share


@pytest.fixture
def one_cpu() -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.usefixtures("one_cpu")
def test_host_has_the_processors_that_we_may_run_on() -> None:
    assert host().cpus == 1
    assert host().memory_mib > 0


@pytest.mark.parametrize("sizes", [
    {"vcpu": 0}, {"vcpu": -1}, {"vcpu": VCPU_MOST + 1}, {"memory": -512}, {"memory": 0},
    {"memory": MEMORY_MIB[-1] + 1}, {"disk": -1}, {"disk": DISK_BYTES[-1] + 1}, {"overlay": 0},
], ids=str)  # fmt: skip
def test_size_that_no_vm_may_have_is_refused_on_every_host(sizes: dict[str, int]) -> None:
    for capacity in (None, HostCapacity(cpus=10**6, memory_mib=10**12)):
        with pytest.raises(BangerError) as caught:
            check_sizes(**sizes, capacity=capacity)
        assert caught.value.code is Code.INVALID


def test_every_size_in_range_fits_in_a_message() -> None:
    check_sizes(vcpu=VCPU_MOST, memory=MEMORY_MIB[-1], disk=DISK_BYTES[-1], overlay=DISK_BYTES[0])
    assert BYTES_MOST < 2**63
