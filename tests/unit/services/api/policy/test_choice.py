"""What was chosen, and what was not."""

import pytest

from services.api.policy.choice import chosen
from shared.contract.messages.vm import VmSpec
from shared.contract.messages.vm_request import VmChoice, VmCreate, VmSet
from shared.errors import BangerError
from tests.example import example_vm


def test_nothing_chosen_is_nothing_given() -> None:
    assert chosen(VmCreate(name="web", start=False), "user") == {}
    assert chosen(VmSet(ref="web"), "user") == {}


def test_what_was_chosen_is_given_by_the_fields_of_the_specification() -> None:
    given = chosen(VmSet(ref="web", vcpu=2, vmm="qemu", disk_bytes=5), "user")
    assert given == {"vcpu": 2, "vmm": "qemu", "disk_bytes": 5}
    assert set(VmChoice.__struct_fields__) <= set(VmSpec.__struct_fields__)


@pytest.mark.parametrize(
    ("request_", "policy"),
    [
        (VmSet(ref="web", nat=True), (True, [])),
        (VmSet(ref="web", nat=False), (False, [])),
        (VmSet(ref="web", allow=["Example.org"]), (False, ["example.org"])),
        (VmSet(ref="web", nat=True, allow=["db.vm"]), (True, ["db.vm"])),
    ],
)
def test_one_half_of_the_egress_policy_means_that_the_other_is_none(
    request_: VmSet, policy: tuple[bool, list[str]]
) -> None:
    given = chosen(request_, "bridge")
    assert (given["nat"], given["allow"]) == policy


def test_a_policy_that_the_network_cannot_keep_is_refused() -> None:
    with pytest.raises(BangerError):
        chosen(VmCreate(allow=["example.org"]), "user")


def test_labels_are_changes_of_those_that_the_vm_has() -> None:
    change = VmSet(ref="web", labels={"tier": "b", "old": None})
    given = chosen(change, "user", example_vm(labels={"old": "1", "team": "web"}))
    assert given == {"labels": {"team": "web", "tier": "b"}}
    assert chosen(VmCreate(labels={"team": "web"}), "user") == {"labels": {"team": "web"}}


def test_the_default_idle_limit_is_none_of_its_own() -> None:
    assert chosen(VmSet(ref="web", idle_suspend="default"), "user") == {"idle_suspend": None}
    assert chosen(VmSet(ref="web", idle_suspend=0.0), "user") == {"idle_suspend": 0.0}
