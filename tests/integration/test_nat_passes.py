"""What a change of a VM's row costs nat and dns: passes over the kernel, and zones built."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.bus.client import Client
from tests.integration.nat_lab import NEEDED, Lab, made_lab, made_services
from tests.stack import Stack, new_stack, want
from tests.waiting import eventually

pytestmark = NEEDED

VM = "aaaaaaaaaaaa"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with made_lab(tmp_path) as made:
        yield made


@pytest.fixture
def stack(lab: Lab) -> Iterator[Stack]:
    with made_services(lab) as made:
        eventually(lambda: passes(made) == 1)  # of the start: it removes what is left over
        yield made


def passes(stack: Stack) -> int:
    with Client(stack.paths.broker_socket) as client:
        return int(client.ping("nat")["passes"])


def rebuilds(stack: Stack) -> int:
    with Client(stack.paths.broker_socket) as client:
        return int(client.ping("dns")["rebuilds"])


def taps(stack: Stack) -> list[str]:
    return [str(tap) for tap in stack.call("nat", "nat.status")["taps"]]


def reserve(stack: Stack, vm_id: str = VM) -> None:
    stack.reserve(vm_id, f"vm-{vm_id[0]}", network="bridge", subnet="10.77.0.0/24", nat=True)


def update(stack: Stack, **changes: object) -> None:
    stack.call("store", "vm.update", id=VM, **changes)


def test_life_of_a_vm_is_one_pass_for_its_attach_and_one_for_its_end(stack: Stack) -> None:
    reserve(stack)
    update(stack, state="starting")
    stack.call("nat", "nat.attach", id=VM)
    assert passes(stack) == 2
    update(stack, state="running")
    stack.call("store", "vm.touch", id=VM, at="2026-11-28T00:00:00Z")
    update(stack, state="stopping")
    assert taps(stack) == [f"bgr{VM}"]
    update(stack, state="stopped")
    eventually(lambda: not taps(stack))
    assert passes(stack) == 3


def test_use_of_a_vm_leads_to_no_pass(stack: Stack) -> None:
    reserve(stack)
    update(stack, state="running")
    eventually(lambda: taps(stack) == [f"bgr{VM}"])
    before = passes(stack)
    stack.call("store", "vm.touch", id=VM, at="2026-11-28T00:00:00Z")
    update(stack, reason="a reason")
    want(stack.call, VM, vcpu=2, memory_mib=1024)
    stack.call("nat", "nat.apply")  # it has all of the store's rows when it answers, by one pass
    assert passes(stack) == before + 1


def test_change_of_what_the_network_depends_on_leads_to_one_pass(stack: Stack) -> None:
    reserve(stack)
    update(stack, state="running")
    eventually(lambda: taps(stack) == [f"bgr{VM}"])
    before = passes(stack)
    want(stack.call, VM, nat=False)
    eventually(lambda: passes(stack) > before)
    stack.call("nat", "nat.apply")
    assert passes(stack) == before + 2


def test_use_of_a_vm_leads_to_no_new_zone() -> None:
    with new_stack() as stack:
        for service in ("broker", "store", "dns"):
            stack.start(service)
        stack.reserve(VM, "alpha")
        update(stack, state="running")
        eventually(lambda: stack.call("dns", "dns.status")["names"] == 1)
        before = rebuilds(stack)
        stack.call("store", "vm.touch", id=VM, at="2026-11-28T00:00:00Z")
        update(stack, reason="a reason")
        want(stack.call, VM, vcpu=2, memory_mib=1024)
        update(stack, state="stopping")
        update(stack, state="stopped")
        eventually(lambda: stack.call("dns", "dns.status")["names"] == 0)
        assert rebuilds(stack) == before + 1
