"""What a guest's last line on the console means, and how the VMM is named."""

from pathlib import Path

import pytest

from services.vm_supervisor.drivers.contract import ExitReason, VmPlace
from services.vm_supervisor.drivers.firecracker.driver import firecracker_argv, last_act


@pytest.mark.parametrize(
    ("console", "act"),
    [
        ("[  9.1] reboot: System halted\n", ExitReason.POWEROFF),
        ("[  9.1] reboot: Power down\n", ExitReason.POWEROFF),
        ("x\n[  9.1] reboot: Restarting system\n", ExitReason.REBOOT),
        ("login: ", None),
        ("", None),
        ("reboot: Restarting system\na\nb\nc\nlogin: ", None),
    ],
)
def test_the_last_lines_tell(console: str, act: ExitReason | None) -> None:
    assert last_act(console) is act


def test_the_process_is_named_for_its_vm() -> None:
    place = VmPlace("0123456789ab", Path("/r"), Path("/s"))
    argv = firecracker_argv("fc", place, Path("/r/api.sock"), Path("/s/vmm.log"))
    assert argv[argv.index("--id") + 1] == "banger-0123456789ab"
