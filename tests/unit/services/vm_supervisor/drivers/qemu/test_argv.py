"""QEMU's command line, word by word where it matters."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from services.vm_supervisor.drivers.contract import Drives, MachineSpec, VmPlace
from services.vm_supervisor.drivers.kernel_arguments import kernel_arguments
from services.vm_supervisor.drivers.qemu.argv import MEMORY, Inherited, qemu_argv
from services.vm_supervisor.network.modes import bridge_network, user_network
from services.vm_supervisor.network.outside_filter import filter_id
from shared.vm import files
from shared.vmm.accelerator import Accel, Accelerator

VM = Path("/state/vms/0123456789ab")
SPEC = MachineSpec(
    place=VmPlace("0123456789ab", Path("/run/vm"), VM),
    vcpus=2,
    memory_mib=512,
    accelerator=Accelerator(Accel.TCG, "", 2_600_000),
    kernel=Path("/kernels/k"),
    initrd=Path("/run/vm/initrd"),
    drives=Drives(Path("/images/i"), VM / "overlay", VM / "work", Path("/kernels/k/modules")),
    network=user_network("0123456789ab", "127.77.0.2", 2222, nat=False),
)


def option_values(argv: list[str], option: str) -> list[str]:
    return [value for name, value in pairwise(argv) if name == option]


def test_a_guest_resets_itself_without_a_keyboard_controller() -> None:
    (line,) = option_values(qemu_argv(SPEC), "-append")
    assert "reboot=t" in line.split()


def test_drives_come_in_the_order_the_guests_init_relies_on() -> None:
    files = [part.split(",")[2] for part in option_values(qemu_argv(SPEC), "-drive")]
    assert files == [
        "file=/images/i",
        f"file={VM}/overlay",
        f"file={VM}/work",
        "file=/kernels/k/modules",
    ]


def test_tools_images_below_and_the_work_seed_come_after_the_disks_that_every_vm_has() -> None:
    bases = (Path("/images/j"), Path("/images/k"))
    drives = replace(SPEC.drives, tools=Path("/t"), bases=bases, seed=Path("/s"))
    parts = option_values(qemu_argv(replace(SPEC, drives=drives)), "-drive")[4:]
    files = [part.split(",")[2] for part in parts]
    assert files == ["file=/t", "file=/images/j", "file=/images/k", "file=/s"]
    assert all("readonly=on" in part for part in parts)
    assert drives.letters()["seed"] == "vdh"


def test_what_vms_share_is_read_only() -> None:
    modes = ["readonly=on" in part for part in option_values(qemu_argv(SPEC), "-drive")]
    assert modes == [True, False, False, True]


def test_a_port_that_somebody_else_holds_is_forwarded_later() -> None:
    first, *_ = option_values(qemu_argv(replace(SPEC, holds_ports=True)), "-netdev")
    assert first == "user,id=net0,restrict=on,ipv6=off"


def test_a_comma_in_a_path_does_not_end_the_value() -> None:
    spec = replace(SPEC, drives=replace(SPEC.drives, rootfs=Path("/a,readonly=off")))
    assert "file=/a,,readonly=off,format=raw" in option_values(qemu_argv(spec), "-drive")[0]


def test_sizes_are_passed_on() -> None:
    argv = qemu_argv(SPEC)
    assert option_values(argv, "-smp") == ["2"]
    assert option_values(argv, "-m") == ["512M"]


def test_an_emulated_guest_is_told_its_tsc_frequency() -> None:
    assert "tsc_early_khz=2600000" in kernel_arguments(SPEC.accelerator)


def test_a_guest_under_kvm_finds_it_by_itself_and_sees_the_hosts_cpu() -> None:
    kvm = Accelerator(Accel.KVM, "")
    assert "tsc" not in kernel_arguments(kvm)
    assert option_values(qemu_argv(replace(SPEC, accelerator=kvm)), "-cpu") == ["host"]


def test_the_cpu_model_of_the_configuration_is_for_emulated_guests_only() -> None:
    assert option_values(qemu_argv(SPEC), "-cpu") == []
    model = "EPYC,+svm"
    assert option_values(qemu_argv(SPEC, cpu=model), "-cpu") == [model]
    kvm = replace(SPEC, accelerator=Accelerator(Accel.KVM, "", None))
    assert option_values(qemu_argv(kvm, cpu=model), "-cpu") == ["host"]


def test_a_guest_reset_ends_the_vmm_so_that_it_is_seen() -> None:
    assert "-no-reboot" in qemu_argv(SPEC)


@pytest.mark.parametrize(("nat", "end"), [(True, "outside"), (False, "sink")])
def test_the_hubs_always_lead_somewhere_and_outside_only_with_nat(nat: bool, end: str) -> None:
    network = user_network("0123456789ab", "127.77.0.2", 2222, nat=nat)
    netdevs = option_values(
        qemu_argv(replace(SPEC, network=network), inherited=Inherited(ends=(7, 9))), "-netdev"
    )
    ports = [part.split(",netdev=") for part in netdevs if part.startswith("hubport,")]
    # Of each hub the guest's device, or the filter behind it, and what it leads to.
    assert [to for _, *to in ports] == [[], ["net0"], [filter_id(())], [end]]
    assert "dgram,id=net1,local.type=fd,local.str=7" in netdevs
    assert f"dgram,id={filter_id(())},local.type=fd,local.str=9" in netdevs
    (user,) = [part for part in netdevs if f"id={end}" in part]
    assert ("restrict=on" in user) is not nat


@pytest.mark.parametrize("nat", [True, False])
def test_the_first_device_is_closed_but_for_ssh_with_nat_and_without(nat: bool) -> None:
    network = user_network("0123456789ab", "127.77.0.2", 2222, nat=nat)
    first, *_ = option_values(qemu_argv(replace(SPEC, network=network)), "-netdev")
    assert first == "user,id=net0,restrict=on,ipv6=off,hostfwd=tcp:127.77.0.2:2222-:22"


def test_a_tap_needs_no_hub() -> None:
    network = bridge_network("0123456789ab", "bgr0", "10.77.0.2/24", "10.77.0.1", ("10.77.0.1",))
    argv = qemu_argv(replace(SPEC, network=network))
    assert option_values(argv, "-netdev") == ["tap,id=net0,ifname=bgr0,script=no,downscript=no"]
    assert f"virtio-net-device,mac={network.mac},netdev=net0" in option_values(argv, "-device")


def saved_in(directory: Path, *names: str) -> Path:
    for name in names:
        (directory / name).touch()
    return directory


def test_memory_of_its_own_is_what_nobody_sees() -> None:
    argv = qemu_argv(SPEC)
    assert option_values(argv, "-M") == ["microvm"]
    assert not [each for each in option_values(argv, "-object") if "memory" in each]


def test_memory_in_a_file_is_shared_with_it() -> None:
    argv = qemu_argv(replace(SPEC, memory_file=Path("/ram")))
    assert option_values(argv, "-M") == [f"microvm,memory-backend={MEMORY}"]
    backend = f"memory-backend-file,id={MEMORY},size=512M,mem-path=/ram,share=on"
    assert backend in option_values(argv, "-object")
    assert "-incoming" not in argv


def test_memory_that_is_inherited_has_a_name() -> None:
    argv = qemu_argv(SPEC, inherited=Inherited(memory=12))
    (backend,) = [each for each in option_values(argv, "-object") if "memory" in each]
    assert backend.endswith("mem-path=/proc/self/fd/12,share=on")
    assert Inherited(ends=(7, 9), memory=12).numbers() == [7, 9, 12]
    assert Inherited().numbers() == []


def test_saved_memory_is_mapped_privately_and_nothing_boots(tmp_path: Path) -> None:
    saved = saved_in(tmp_path, files.MEMORY, files.DEVICE_STATE)
    argv = qemu_argv(SPEC, saved=saved)
    (backend,) = [each for each in option_values(argv, "-object") if "memory" in each]
    assert backend.endswith(f"mem-path={saved / files.MEMORY},share=off")
    assert option_values(argv, "-incoming") == ["defer"]
    assert "-S" in argv
    assert not {"-kernel", "-initrd", "-append"} & set(argv)


@pytest.mark.parametrize(("mark", "absent"), [(b"\x07", 0), (b"\x04", 1)])
def test_qemu_is_told_of_a_device_state_that_does_not_name_its_machine(
    tmp_path: Path, mark: bytes, absent: int
) -> None:
    saved = saved_in(tmp_path, files.MEMORY, files.DEVICE_STATE)
    (saved / files.DEVICE_STATE).write_bytes(b"QEVM\0\0\0\3" + mark)
    values = option_values(qemu_argv(SPEC, saved=saved), "-global")
    assert values == ["migration.send-configuration=off"] * absent


def test_stream_is_loaded_into_memory_of_its_own_or_into_the_file_that_is_asked_for(
    tmp_path: Path,
) -> None:
    saved = saved_in(tmp_path, files.MEMORY)
    assert option_values(qemu_argv(SPEC, saved=saved), "-M") == ["microvm"]
    argv = qemu_argv(replace(SPEC, memory_file=Path("/ram")), saved=saved)
    (backend,) = [each for each in option_values(argv, "-object") if "memory" in each]
    assert backend.endswith("mem-path=/ram,share=on")
