"""What is in the initrd, and that it is written whole."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from services.vm_supervisor.drivers.contract import Drives
from services.vm_supervisor.guest import adjust
from services.vm_supervisor.launch.initrd import (
    GuestIdentity,
    base_part,
    identity_part,
    write_initrd,
)
from services.vm_supervisor.network.modes import user_network
from shared.errors import BangerError, Code
from shared.host.busybox import find_busybox

ROOTFS = Path("services/vm_supervisor/guest/rootfs")

DRIVES = Drives(
    Path("/i"), Path("/o"), Path("/w"), Path("/m"), Path("/t"), (Path("/1"), Path("/2"))
)
IDENTITY = GuestIdentity(
    hostname="it's; reboot",
    machine_id="ab" * 16,
    host_key="KEY\n",
    authorized_keys="ssh-ed25519 AAAA\n",
    kernel_version="6.1.0",
    network=user_network("0123456789ab", "127.77.0.2", 22, nat=False),
    agent="virtio-serial",
    drives=DRIVES,
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


def test_the_guest_is_told_which_of_its_devices_is_what(tmp_path: Path) -> None:
    seed = tmp_path / "seed"
    seed.write_bytes(b"x" * 700)
    drives = replace(DRIVES, tools=None, seed=seed)
    lines = read_newc(identity_part(replace(IDENTITY, drives=drives)))["banger/identity"]
    assert b"tools=''\nbases='vde vdf'\nseed=vdg\nseed_bytes=700\n" in lines
    assert (
        b"tools=vde\nbases='vdf vdg'\nseed=''\n"
        in read_newc(identity_part(IDENTITY))["banger/identity"]
    )


def base(tmp_path: Path) -> dict[str, bytes]:
    busybox = tmp_path / "busybox"
    busybox.write_bytes(b"ELF")
    return read_newc(base_part(busybox))


def test_every_applet_the_scripts_call_is_there(tmp_path: Path) -> None:
    files = base(tmp_path)
    assert files["bin/busybox"] == b"ELF"
    for applet in ("insmod", "mount", "ip", "chroot", "sh", "poweroff", "reboot", "grep", "rm"):
        assert files[f"bin/{applet}"] == b"busybox"


def test_systemd_finds_its_way_back_into_the_initramfs_at_the_end(tmp_path: Path) -> None:
    files = base(tmp_path)
    assert b"umount -l /oldroot" in files["shutdown"]
    assert {"run", "proc", "sys", "dev", "oldroot", "bin/umount"} <= files.keys()


def test_units_of_ssh_and_agent_are_there_under_every_name_and_are_started(tmp_path: Path) -> None:
    files = base(tmp_path)
    for unit, pid_file in (("ssh", "sshd.pid"), ("qemu-guest-agent", "qemu-ga.pid")):
        text = files[f"units/{unit}.service"].decode()
        assert f"PIDFile=/run/banger/{pid_file}" in text
        assert "Restart=always" in text
        link = files[f"units/sysinit.target.wants/{unit}.service"]
        assert link == f"../{unit}.service".encode()
    assert files["units/sshd.service"] == b"ssh.service"


def test_systemd_removes_nothing_that_users_have_made_since_the_boot(tmp_path: Path) -> None:
    """systemd-tmpfiles --remove --boot would empty /tmp some seconds after the first command."""
    text = base(tmp_path)["units/systemd-tmpfiles-setup.service.d/banger.conf"].decode()
    assert "ExecStart=\n" in text
    assert "--create --boot" in text
    assert "ExecStart=systemd-tmpfiles --remove" not in text


@pytest.mark.parametrize(
    "script", ["init", "start", "daemons", "apply", "renew", "hand_over", "shutdown"]
)
def test_scripts_are_valid(script: str) -> None:
    subprocess.run(["sh", "-n", str(ROOTFS / script)], check=True)


def test_the_program_that_moves_the_clock_is_in_every_guest(tmp_path: Path) -> None:
    assert base(tmp_path)["bin/adjust"] == adjust.program()


def run_function(script: str, **replaced: str) -> str:
    """Run shell text after the functions of "start", some of whose paths are replaced."""
    functions, doing, _ = (ROOTFS / "start").read_text().partition("\n[ -e /run/initramfs/first")
    assert doing  # what follows is for a guest alone
    functions = functions.replace(". /run/initramfs/daemons", "")
    functions = functions.replace(". /run/initramfs/apply", (ROOTFS / "apply").read_text())
    for name, path in replaced.items():
        functions = functions.replace(f"/{name.replace('_', '/')}/tmpfiles.d", path)
    done = subprocess.run(
        [str(find_busybox()), "sh", "-c", functions + script],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    assert done.stderr == ""
    return done.stdout


def write_ours(file: Path, content: str) -> str:
    """What is in ``file`` after a boot that would write ``content``."""
    records = file.parent / "records"
    records.mkdir(exist_ok=True)
    run_function(f"\nRECORDS={records}; write_ours {file} '{content}'\n")
    return file.read_text()


def test_a_file_of_ours_follows_the_vm_until_its_owner_edits_it(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("of the image\n")
    assert write_ours(hosts, "one\n") == "one\n"
    assert write_ours(hosts, "two\n") == "two\n"
    hosts.write_text("two\nmine\n")
    assert write_ours(hosts, "two\n") == "two\nmine\n"
    assert write_ours(hosts, "three\n") == "two\nmine\n"
    hosts.write_text("four\n")  # as a rename of the running VM writes it
    assert write_ours(hosts, "four\n") == "four\n"
    assert write_ours(hosts, "five\n") == "five\n"


def test_a_link_of_the_image_is_replaced_and_one_of_the_owner_stays(tmp_path: Path) -> None:
    resolver = tmp_path / "resolv.conf"
    resolver.symlink_to("nowhere")
    assert write_ours(resolver, "nameserver 1\n") == "nameserver 1\n"
    resolver.unlink()
    (tmp_path / "stub").write_text("stub\n")
    resolver.symlink_to("stub")
    assert write_ours(resolver, "nameserver 2\n") == "stub\n"
    resolver.unlink()
    (tmp_path / "records" / "resolv.conf").write_text("nameserver 1\n")
    run_function(f"\nRECORDS={tmp_path}/records; write_ours {resolver} 'x'\n")
    assert not resolver.exists()  # deleted by the owner


def test_what_the_last_boot_left_in_tmp_goes_before_anybody_is_in(tmp_path: Path) -> None:
    for name in ("conf", "tmp/.X11-unix", "tmp/a b", "var", "bin", "keep"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "conf" / "tmp.conf").write_text(
        f"D {tmp_path}/tmp 1777 root root -\nr! {tmp_path}/*.lock\n"
        f"R! {tmp_path}/var/private-*\nq {tmp_path}/keep\n"
    )
    for name in ("tmp/.hidden", "tmp/a b/c", "passwd.lock", "var/private-1", "var/other", "keep/x"):
        (tmp_path / name).write_text("")
    # A name that must not be taken apart: who may write into /tmp would choose what root removes.
    (tmp_path / "tmp" / f"x\n{tmp_path}").mkdir(parents=True)
    for applet in ("grep", "rm"):
        (tmp_path / "bin" / applet).symlink_to(find_busybox())
    remove = f"\nPATH={tmp_path}/bin RECORDS={tmp_path}/bin first_boot=; remove_temporary_files\n"
    run_function(remove, etc=f"{tmp_path}/none", usr_lib=f"{tmp_path}/conf")
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.name != "bin"}
    assert left >= {"tmp", "var/other", "keep/x"}
    assert not [name for name in left if name.startswith("tmp/")]
    assert not left & {"passwd.lock", "var/private-1"}


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
    assert {"awk", "grep", "head", "setsid", "su"} <= called <= {*listed.stdout.split()}
