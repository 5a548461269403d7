"""Which changes of a row need a pass over the kernel."""

from typing import Any

import pytest

from services.nat.plan.coverage import Coverage, network_view
from shared.contract.messages.vm import Publication, Vm
from tests.example import example_vm


def bridged(**changes: Any) -> Vm:
    usual: dict[str, Any] = {"network": "bridge", "address": "10.77.0.2", "state": "running"}
    return example_vm(**{**usual, **changes})


def covering(*vms: Vm) -> Coverage:
    coverage = Coverage()
    coverage.record(vms)
    return coverage


USED: list[dict[str, Any]] = [
    {"name": "gamma"},
    {"address": "10.77.0.3"},
    {"nat": True},
    {"allow": ["example.org"]},
    {"publish": [Publication(host_port=8080, guest_port=80)]},
]
UNUSED: list[dict[str, Any]] = [
    {"touched_at": "2026-11-28T00:00:00Z"},
    {"reason": "a reason"},
    {"vcpu": 4, "memory_mib": 4096, "disk_bytes": 2, "overlay_bytes": 2},
    {"image_id": "j", "image_name": "other", "kernel_id": "l", "vmm": "qemu"},
]


@pytest.mark.parametrize("changes", USED, ids=str)
def test_change_of_what_the_network_depends_on_is_seen(changes: dict[str, Any]) -> None:
    assert network_view(bridged(**changes)) != network_view(bridged())
    assert not covering(bridged()).covers([bridged(**changes)])


@pytest.mark.parametrize("changes", UNUSED, ids=str)
def test_change_of_anything_else_is_not(changes: dict[str, Any]) -> None:
    assert network_view(bridged(**changes)) == network_view(bridged())
    assert covering(bridged()).covers([bridged(**changes)])


def test_vm_in_user_mode_is_not_looked_at() -> None:
    assert network_view(bridged(network="user", state="created")) is None
    assert network_view(bridged(network="user", nat=True)) is None


def test_before_the_first_pass_nothing_is_covered() -> None:
    assert not Coverage().covers([])
    assert covering().covers([])


def test_vm_that_starts_waits_for_its_attach_and_is_covered_from_then_on() -> None:
    starting = bridged(state="starting")
    coverage = covering()
    assert coverage.covers([starting])
    coverage.record([starting])
    assert coverage.covers([bridged(state="running")])
    assert coverage.covers([bridged(state="stopping")])
    assert not coverage.covers([])  # stopped


def test_vm_that_is_up_without_a_pass_is_not_covered() -> None:
    """Its row may say so when nat was started again in between."""
    assert not covering().covers([bridged()])
    views = [network_view(bridged(state=state)) for state in ("created", "starting", "running")]
    assert len({repr(view) for view in views}) == 3


def test_failed_pass_covers_nothing() -> None:
    coverage = covering(bridged())
    coverage.forget()
    assert not coverage.covers([bridged()])
