"""What is in the initrd, and that it is written whole."""

import re
import subprocess
from pathlib import Path

import pytest

from services.vm_supervisor.launch.initrd import (
    GuestIdentity,
    base_part,
    identity_part,
    write_initrd,
)
from services.vm_supervisor.network.modes import user_network
from shared.errors import BangerError, Code
from shared.host.busybox import find_busybox

IDENTITY = GuestIdentity(
    hostname="it's; reboot",
    machine_id="ab" * 16,
    host_key="KEY\n",
    authorized_keys="ssh-ed25519 AAAA\n",
    kernel_version="6.1.0",
    network=user_network("0123456789ab", "127.77.0.2", 22, nat=False),
    agent="virtio-serial",
)


def read_newc(archive: bytes) -> dict[str, bytes]:
    """Names and contents of one newc archive (cpio(5))."""
    files: dict[str, bytes] = {}
    at = 0
    while True:
        size, length = int(archive[at + 54 : at + 62], 16), int(archive[at + 94 : at + 102], 16)
        name = archive[at + 110 : at + 110 + length - 1].decode()
        start = (at + 110 + length + 3) // 4 * 4
        if name == "TRAILER!!!":
            return files
        files[name] = archive[start : start + size]
        at = (start + size + 3) // 4 * 4


def test_a_hostile_hostname_reaches_the_guest_shell_as_one_word(tmp_path: Path) -> None:
    file = tmp_path / "identity"
    file.write_bytes(read_newc(identity_part(IDENTITY))["banger/identity"])
    script = '. "$1"; printf %s "$hostname"'
    shown = subprocess.run(["sh", "-c", script, "sh", str(file)], capture_output=True, check=True)
    assert shown.stdout == b"it's; reboot"


def test_the_guest_gets_its_keys_and_address() -> None:
    files = read_newc(identity_part(IDENTITY))
    assert files["banger/host_key"] == b"KEY\n"
    assert files["banger/authorized_keys"] == b"ssh-ed25519 AAAA\n"
    assert b"address=10.0.2.15/24\n" in files["banger/identity"]


def test_every_applet_the_init_calls_is_there(tmp_path: Path) -> None:
    busybox = tmp_path / "busybox"
    busybox.write_bytes(b"ELF")
    files = read_newc(base_part(busybox))
    assert files["bin/busybox"] == b"ELF"
    for applet in ("insmod", "mount", "ip", "chroot", "switch_root", "poweroff"):
        assert files[f"bin/{applet}"] == b"busybox"


def test_the_init_is_a_valid_shell_script() -> None:
    init = Path("services/vm_supervisor/guest/rootfs/init")
    subprocess.run(["sh", "-n", str(init)], check=True)


def test_the_initrd_starts_with_the_kernels_modules_and_is_private(tmp_path: Path) -> None:
    modules = tmp_path / "initrd-modules.cpio"
    modules.write_bytes(b"MODULES!")
    write_initrd(tmp_path / "initrd", modules, IDENTITY)
    assert (tmp_path / "initrd").read_bytes().startswith(b"MODULES!070701")
    assert (tmp_path / "initrd").stat().st_mode & 0o777 == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"initrd", "initrd-modules.cpio"}


def test_a_kernel_without_modules_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(BangerError, match="module archive") as caught:
        write_initrd(tmp_path / "initrd", tmp_path / "absent", IDENTITY)
    assert caught.value.code is Code.NOT_FOUND
    assert list(tmp_path.iterdir()) == []


def test_what_commands_run_under_is_there_with_all_it_calls_of_busybox() -> None:
    busybox = find_busybox()
    program = read_newc(base_part(busybox))["banger/exec"]
    assert program.startswith(b"#!/run/banger/busybox sh\n")
    called = set(re.findall(r"\$BUSYBOX ([a-z]+)", program.decode()))
    listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    assert {"grep", "head", "setsid", "su", "timeout"} <= called <= {*listed.stdout.split()}
