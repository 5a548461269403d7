"""What passes a filter."""

import pytest

from services.api.policy.filters import matcher
from shared.errors import BangerError
from tests.example import example_vm

VM = example_vm(name="web-1", state="running", image_name="debian", labels={"team": "a", "x": ""},
                origin="snapshot db/clean")  # fmt: skip


@pytest.mark.parametrize(
    "filters",
    [[], ["state=running"], ["image=deb*"], ["name=web-?"], ["label=team"], ["label=team=a"],
     ["label=x="], ["origin=db/clean"], ["origin=db*"],
     ["state=running", "name=web*", "label=team"]],
)  # fmt: skip
def test_a_vm_passes_when_all_filters_fit(filters: list[str]) -> None:
    assert matcher(filters)(VM)


@pytest.mark.parametrize(
    "filters",
    [["state=stopped"], ["image=Debian"], ["name=web"], ["label=tea"], ["label=team=b"],
     ["label=x=1"], ["origin=db"], ["origin=snapshot*"], ["state=running", "name=db*"]],
)  # fmt: skip
def test_a_vm_is_left_out_when_one_filter_does_not_fit(filters: list[str]) -> None:
    assert not matcher(filters)(VM)


@pytest.mark.parametrize("text", ["", "running", "state=", "state=up", "color=red", "=x"])
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(BangerError):
        matcher([text])


def test_a_vm_made_of_an_image_has_no_origin_to_match() -> None:
    assert not matcher(["origin=*"])(example_vm(name="web-1"))


def test_suspended_vms_can_be_asked_for() -> None:
    assert matcher(["state=suspended"])(example_vm(state="suspended"))
