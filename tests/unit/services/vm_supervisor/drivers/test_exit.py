"""Why a VMM ended, from what is known after its death."""

from pathlib import Path

import pytest

from services.vm_supervisor.drivers.contract import ExitReason, VmmExit
from services.vm_supervisor.drivers.exit import LINE_MAX, conclude, guest_failed, tail
from shared.vm import files

FAILED_STEP = "[1.0] x\nbanger-init: error: cannot mount the image (/dev/vda)\n[2.0] Power down\n"


@pytest.mark.parametrize(
    ("seen", "exit_code", "console", "reason"),
    [
        (ExitReason.POWEROFF, 0, "", ExitReason.POWEROFF),
        (ExitReason.REBOOT, 0, "", ExitReason.REBOOT),
        (ExitReason.REBOOT, 0, "Kernel panic - not syncing: x", ExitReason.PANIC),
        (ExitReason.KILLED, 0, "", ExitReason.KILLED),
        (None, -9, "", ExitReason.KILLED),
        (None, 1, "", ExitReason.CRASHED),
        (None, None, "", ExitReason.UNKNOWN),
    ],
)
def test_the_reason_of_an_end(
    seen: ExitReason | None, exit_code: int | None, console: str, reason: ExitReason
) -> None:
    assert conclude(seen, exit_code, console, "").reason is reason


@pytest.mark.parametrize("seen", ExitReason)
def test_every_reason_that_was_seen_has_words(seen: ExitReason) -> None:
    assert conclude(seen, 0, "", "").detail


def test_a_failed_step_of_our_init_is_the_detail() -> None:
    end = conclude(ExitReason.POWEROFF, 0, FAILED_STEP, "")
    assert end.detail == "banger-init: error: cannot mount the image (/dev/vda)"


def test_a_crash_quotes_the_vmms_last_line() -> None:
    assert "by itself" in conclude(None, 0, "", "").detail
    assert "nobody was watching" in conclude(None, None, "", "").detail
    assert conclude(None, 1, "", "first\nqemu: no such file\n").detail == "qemu: no such file"


def test_the_error_names_the_log_that_tells_more() -> None:
    state = Path("/s")
    assert guest_failed(VmmExit(ExitReason.CRASHED, "x"), state).hint == "see /s/vmm.log"
    assert guest_failed(VmmExit(ExitReason.POWEROFF, "x"), state).hint == "see /s/console.log"


def test_the_tail_does_not_reach_back_into_the_boot_before(tmp_path: Path) -> None:
    log = tmp_path / files.CONSOLE_LOG
    log.write_text("Kernel panic of last time\nnow\n")
    assert tail(log, start=26) == "now\n"
    assert tail(tmp_path / "absent") == ""


@pytest.mark.parametrize("sign", ["Kernel panic", "banger-init: error:"])
def test_what_a_guest_writes_to_its_console_is_told_cut_and_printable(sign: str) -> None:
    console = f"{sign} \x1b]52;c;cm0=\x07" + "A" * 16_000
    detail = conclude(ExitReason.POWEROFF, 0, console, "").detail
    assert len(detail) == LINE_MAX
    assert detail.isprintable()


def test_so_is_what_a_vmm_says_at_last() -> None:
    detail = conclude(None, 1, "", "qemu: \x9b31m" + "A" * 16_000 + "\n \n").detail
    assert detail.startswith("qemu: ")
    assert len(detail) == LINE_MAX
    assert detail.isprintable()
