"""Why a VMM ended, from what is known after its death."""

from pathlib import Path

import pytest

from services.vm_supervisor.drivers.contract import End, EndReason, PortTaken
from services.vm_supervisor.drivers.exit import conclude, guest_failed, tail
from shared.vm import files

FAILED_STEP = "[1.0] x\nbanger-init: error: cannot mount the image (/dev/vda)\n[2.0] Power down\n"


@pytest.mark.parametrize(
    ("shutdown", "exit_code", "console", "reason"),
    [
        ("guest-shutdown", 0, "", EndReason.POWEROFF),
        ("guest-reset", 0, "", EndReason.REBOOT),
        ("guest-reset", 0, "Kernel panic - not syncing: x", EndReason.PANIC),
        ("host-signal", 0, "", EndReason.KILLED),
        (None, -9, "", EndReason.KILLED),
        (None, 1, "", EndReason.CRASHED),
        (None, None, "", EndReason.UNKNOWN),
        ("a-cause-of-a-newer-qemu", 0, "", EndReason.UNKNOWN),
    ],
)
def test_the_reason_of_an_end(
    shutdown: str | None, exit_code: int | None, console: str, reason: EndReason
) -> None:
    assert conclude(shutdown, exit_code, console, "").reason is reason


def test_a_failed_step_of_our_init_is_the_detail() -> None:
    end = conclude("guest-shutdown", 0, FAILED_STEP, "")
    assert end.detail == "banger-init: error: cannot mount the image (/dev/vda)"


def test_a_crash_quotes_the_vmms_last_line() -> None:
    assert "by itself" in conclude(None, 0, "", "").detail
    assert "nobody was watching" in conclude(None, None, "", "").detail
    assert conclude(None, 1, "", "first\nqemu: no such file\n").detail == "qemu: no such file"


def test_the_error_names_the_log_that_tells_more() -> None:
    state = Path("/s")
    assert guest_failed(End(EndReason.CRASHED, "x"), state).hint == "see /s/vmm.log"
    assert guest_failed(End(EndReason.POWEROFF, "x"), state).hint == "see /s/console.log"


def test_a_port_that_was_taken_meanwhile_is_an_error_of_its_own() -> None:
    words = "qemu: Could not set up host forwarding rule 'tcp:127.77.0.2:22-:22'"
    assert isinstance(guest_failed(End(EndReason.CRASHED, words), Path("/s")), PortTaken)
    assert not isinstance(guest_failed(End(EndReason.CRASHED, "x"), Path("/s")), PortTaken)


def test_the_tail_does_not_reach_back_into_the_boot_before(tmp_path: Path) -> None:
    log = tmp_path / files.CONSOLE_LOG
    log.write_text("Kernel panic of last time\nnow\n")
    assert tail(log, start=26) == "now\n"
    assert tail(tmp_path / "absent") == ""
