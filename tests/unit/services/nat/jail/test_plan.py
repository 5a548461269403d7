"""What a jail is made of, from a row and the user's directories; and rows that are forged."""

import json
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from services.nat.jail.plan import (
    LEAST_FILE,
    JailSpec,
    JailUser,
    Programs,
    check_id,
    jail_spec,
    jail_uid,
    jail_uids,
)
from shared.contract.messages.vm import Vm
from shared.errors import BangerError, Code
from shared.paths import Paths
from shared.vm import jail
from shared.vmm.firecracker.info import program_arguments
from tests.example import example_vm

VM = "0123456789ab"
SUBNET = IPv4Network("10.77.0.0/24")
BASE = jail.SPAN.start
HOME = Path("/home/ada")
RUN = Path("/run/user/1000/banger")
PATHS = Paths(HOME / "c", HOME / "data", HOME / "state", RUN)
USER = JailUser(1000, 1000, (1000, 109), PATHS)
ARGUMENTS = program_arguments(str(jail.API), str(jail.LOG))
PROGRAMS = Programs(Path("/usr/bin/jailer"), Path("/opt/firecracker-v1.12.1"), ARGUMENTS)


def row(**changes: str) -> Vm:
    return example_vm(**{"id": VM, "image_id": "a" * 16, "kernel_id": "b" * 16, **changes})


def planned(vm: Vm) -> JailSpec:
    return jail_spec(vm, BASE + 2, USER, Path("/srv/jail/1000"), PROGRAMS)


def test_every_file_is_the_users_and_read_only_unless_it_is_the_vms_own() -> None:
    files = {file.inside: (file.paths[0], file.access) for file in planned(row()).files}
    state, kernel = f"/home/ada/state/vms/{VM}", f"/home/ada/data/kernels/{'b' * 16}"
    assert files == {
        "/boot/vmlinux": (f"{kernel}/vmlinux", "shared"),
        "/boot/initrd": (f"/run/user/1000/banger/vms/{VM}/initrd", "private"),
        "/disks/rootfs": (f"/home/ada/data/images/{'a' * 16}/rootfs.squashfs", "shared"),
        "/disks/overlay": (f"{state}/overlay.ext4", "write"),
        "/disks/work": (f"{state}/work.ext4", "write"),
        "/disks/modules": (f"{kernel}/modules.squashfs", "shared"),
        "/disks/tools": (f"{kernel}/tools.squashfs", "shared"),
        "/disks/seed": (f"/home/ada/data/images/{'a' * 16}/seed.tar.zst", "shared"),
        "/save/memory": (f"{state}/saving/memory", "write"),
        "/save/device_state": (f"{state}/saving/device_state", "write"),
        "/saved/memory": (f"/run/user/1000/banger/vms/{VM}/saved/memory", "shared"),
        "/saved/device_state": (f"/run/user/1000/banger/vms/{VM}/saved/device_state", "shared"),
        "/logs/vmm.log": (f"{state}/vmm.log", "write"),
        "/logs/metrics.json": (f"{state}/metrics.json", "write"),
    }


def test_images_below_the_vms_own_come_by_ids_that_are_checked() -> None:
    def files(*bases: str) -> dict[str, str]:
        plan = jail_spec(row(), BASE + 2, USER, Path("/srv"), PROGRAMS, bases)
        return {file.inside: file.paths[0] for file in plan.files}

    two = files("c" * 16, "d" * 16)
    assert two["/disks/base0"] == f"/home/ada/data/images/{'c' * 16}/rootfs.squashfs"
    assert two["/disks/base1"] == f"/home/ada/data/images/{'d' * 16}/rootfs.squashfs"
    for bad in (["../../etc"], ["c" * 15], ["c" * 16 + "\n"], ["c" * 16] * 8):
        with pytest.raises(BangerError) as caught:
            files(*bad)
        assert caught.value.code is Code.INVALID


def test_the_jailer_is_told_uid_place_and_paths_inside() -> None:
    plan = planned(row())
    assert plan.argv == (
        "/usr/bin/jailer", "--id", f"banger-{VM}",
        "--exec-file", "/opt/firecracker-v1.12.1", "--uid", str(BASE + 2), "--gid", str(BASE + 2),
        "--chroot-base-dir", "/srv/jail/1000",
        "--resource-limit", f"fsize={LEAST_FILE}", "--",
        "--api-sock", "/vm/api.sock", "--log-path", "/logs/vmm.log", "--level", "Warning",
    )  # fmt: skip
    assert plan.chroot == f"/srv/jail/1000/firecracker-v1.12.1/banger-{VM}/root"
    assert (plan.stdin, plan.sockets) == (
        f"/run/user/1000/banger/vms/{VM}/console.in", f"/run/user/1000/banger/vms/{VM}/jail",
    )  # fmt: skip
    assert json.loads(json.dumps(plan.as_json()))["groups"] == [1000, 109]


@pytest.mark.parametrize("bad", ["", "..", "../../etc/x", "0123456789AB", f"{VM}\n", f"{VM}c", "é"])
def test_an_id_that_is_none_never_becomes_a_path(bad: str) -> None:
    with pytest.raises(BangerError) as caught:
        check_id(bad)
    assert caught.value.code is Code.INVALID
    for field in ("id", "image_id", "kernel_id"):
        with pytest.raises(BangerError) as caught:
            planned(row(**{field: bad}))
        assert caught.value.code is Code.INVALID


def test_each_vm_has_a_uid_of_its_own_by_its_address() -> None:
    assert jail_uid(BASE, SUBNET, IPv4Address("10.77.0.2")) == BASE + 2
    assert jail_uid(BASE, SUBNET, IPv4Address("10.77.0.254")) in jail_uids(BASE, SUBNET)
    assert len(jail_uids(BASE, SUBNET)) == 256


@pytest.mark.parametrize("base", [0, 1000, 524_288, BASE - 1, jail.SPAN.stop - 2, 2**32])
def test_a_base_that_leads_to_uids_of_others_is_refused(base: int) -> None:
    with pytest.raises(BangerError) as caught:
        jail_uid(base, SUBNET, IPv4Address("10.77.0.2"))
    assert caught.value.code is Code.INVALID
