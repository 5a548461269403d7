"""What the end of a VMM means for its VM."""

import pytest

from services.vm_supervisor.drivers.contract import ExitReason, VmmExit
from services.vm_supervisor.lifecycle.vmm_end import final_state, is_reboot


def end(reason: ExitReason) -> VmmExit:
    return VmmExit(reason, "its last line")


@pytest.mark.parametrize("reason", ExitReason)
def test_an_end_that_was_asked_for_is_a_stop_however_the_vmm_ended(reason: ExitReason) -> None:
    assert final_state(end(reason), "stopped", ready=True, asked=True, trouble="x") == (
        "stopped",
        "",
    )
    assert not is_reboot(end(reason), ready=True, asked=True)


def test_a_guest_may_power_itself_off_once_it_was_ready() -> None:
    off = end(ExitReason.POWEROFF)
    assert final_state(off, "stopped", ready=True, asked=False, trouble="") == ("stopped", "")
    early = final_state(off, "stopped", ready=False, asked=False, trouble="")
    assert early == ("failed", "its last line")


@pytest.mark.parametrize(
    "reason", [ExitReason.PANIC, ExitReason.KILLED, ExitReason.CRASHED, ExitReason.UNKNOWN]
)
def test_every_other_end_is_a_failure_and_says_why(reason: ExitReason) -> None:
    assert final_state(end(reason), "stopped", ready=True, asked=False, trouble="") == (
        "failed", "its last line",
    )  # fmt: skip


def test_the_trouble_that_the_vmm_was_ended_for_comes_before_its_end() -> None:
    killed = final_state(
        end(ExitReason.KILLED), "stopped", ready=False, asked=False, trouble="no answer"
    )
    assert killed == ("failed", "no answer")


def test_a_reboot_is_launched_again_only_after_the_guest_was_ready() -> None:
    assert is_reboot(end(ExitReason.REBOOT), ready=True, asked=False)
    assert not is_reboot(end(ExitReason.REBOOT), ready=False, asked=False)
    assert not is_reboot(end(ExitReason.POWEROFF), ready=True, asked=False)


@pytest.mark.parametrize("reason", list(ExitReason))
def test_a_vm_whose_memory_is_on_disk_is_suspended_however_its_vmm_ended(
    reason: ExitReason,
) -> None:
    final = final_state(end(reason), "suspended", ready=True, asked=False, trouble="none")
    assert final == ("suspended", "")
