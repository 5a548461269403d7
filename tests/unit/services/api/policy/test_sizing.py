"""Sizes of a VM: flag, else configuration, else the host's share; and every bound."""

import pytest

from services.api.policy.sizing import choose_sizes
from shared.config import DefaultsConfig
from shared.contract.messages.vm_request import VmCreate
from shared.contract.sizes import DISK_BYTES, MIB, HostCapacity
from shared.errors import BangerError, Code

HOST = HostCapacity(cpus=8, memory_mib=16384)
GIB = 1024 * MIB
MIN_DISK_BYTES, MAX_DISK_BYTES = DISK_BYTES[0], DISK_BYTES[-1]


def refusal(request: VmCreate, host: HostCapacity = HOST) -> str:
    with pytest.raises(BangerError) as caught:
        choose_sizes(request, DefaultsConfig(), host)
    assert caught.value.code is Code.INVALID
    return caught.value.message


def test_nothing_asked_is_a_share_of_the_host() -> None:
    sizes = choose_sizes(VmCreate(), DefaultsConfig(), HOST)
    assert (sizes.vcpu, sizes.memory_mib) == (2, 2048)
    assert (sizes.disk_bytes, sizes.overlay_bytes) == (8 * GIB, 8 * GIB)


def test_configuration_comes_before_the_host() -> None:
    config = DefaultsConfig(vcpu=3, memory_mib=700, disk="10G", overlay="64M")
    sizes = choose_sizes(VmCreate(), config, HOST)
    assert (sizes.vcpu, sizes.memory_mib) == (3, 700)
    assert (sizes.disk_bytes, sizes.overlay_bytes) == (10 * GIB, 64 * MIB)


def test_request_comes_before_the_configuration() -> None:
    config = DefaultsConfig(vcpu=3, memory_mib=700, disk="10G", overlay="10G")
    request = VmCreate(vcpu=1, memory_mib=256, disk_bytes=GIB, overlay_bytes=2 * GIB)
    sizes = choose_sizes(request, config, HOST)
    assert (sizes.vcpu, sizes.memory_mib) == (1, 256)
    assert (sizes.disk_bytes, sizes.overlay_bytes) == (GIB, 2 * GIB)


@pytest.mark.parametrize("vcpu", [1, 8])
def test_vcpu_from_one_to_all_of_the_hosts(vcpu: int) -> None:
    assert choose_sizes(VmCreate(vcpu=vcpu), DefaultsConfig(), HOST).vcpu == vcpu


@pytest.mark.parametrize(("vcpu", "bound"), [(0, "least is 1"), (-1, "least"), (9, "most is 8")])
def test_vcpu_outside_names_the_bound(vcpu: int, bound: str) -> None:
    assert bound in refusal(VmCreate(vcpu=vcpu))


@pytest.mark.parametrize("memory", [128, 16384])
def test_memory_from_128_mib_to_the_hosts(memory: int) -> None:
    assert choose_sizes(VmCreate(memory_mib=memory), DefaultsConfig(), HOST).memory_mib == memory


@pytest.mark.parametrize(
    ("memory", "bound"),
    [(0, "least is 128 MiB"), (-5, "least"), (127, "least"), (16385, "most is 16384 MiB")],
)
def test_memory_outside_names_the_bound(memory: int, bound: str) -> None:
    assert bound in refusal(VmCreate(memory_mib=memory))


@pytest.mark.parametrize("size", [MIN_DISK_BYTES, MAX_DISK_BYTES])
def test_disks_from_64_mib_to_16_tib(size: int) -> None:
    request = VmCreate(disk_bytes=size, overlay_bytes=size)
    sizes = choose_sizes(request, DefaultsConfig(), HOST)
    assert (sizes.disk_bytes, sizes.overlay_bytes) == (size, size)


@pytest.mark.parametrize("size", [0, -1, -GIB, 1, MIN_DISK_BYTES - 1, MAX_DISK_BYTES + 1])
def test_disks_outside_are_refused_by_their_own_name(size: int) -> None:
    assert refusal(VmCreate(disk_bytes=size)).startswith("disk size")
    assert refusal(VmCreate(overlay_bytes=size)).startswith("overlay size")


def test_host_too_small_for_the_floor_says_so() -> None:
    assert "most is 256 MiB" in refusal(VmCreate(), HostCapacity(cpus=1, memory_mib=256))


def test_bad_size_in_the_configuration_is_invalid() -> None:
    with pytest.raises(BangerError) as caught:
        choose_sizes(VmCreate(), DefaultsConfig(disk="8 gigs"), HOST)
    assert caught.value.code is Code.INVALID


def test_sizes_read_as_the_spec_line() -> None:
    request = VmCreate(vcpu=2, memory_mib=2048)
    sizes = choose_sizes(request, DefaultsConfig(), HOST)
    assert str(sizes) == "2 vcpu | 2048 MiB | 8G disk"
