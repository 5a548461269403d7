"""A QEMU is known by its command line, which tells how it was launched."""

from shared.vmm.qemu.info import Qemu

VM = "0123456789ab"
NETWORK = "user,id=net0,restrict=on,hostfwd=tcp:127.77.0.2:2222-:22"


def test_it_is_known_by_its_name() -> None:
    assert Qemu().recognises(["qemu", "-name", f"banger-{VM}", "-m", "1"], VM)
    assert not Qemu().recognises(["qemu", "-name", f"banger-{VM}0"], VM), "another VM"
    assert not Qemu().recognises(["firecracker", "--id", f"banger-{VM}"], VM), "another VMM"
    assert not Qemu().recognises([], VM)


def test_the_forwarded_port_is_read_from_the_words() -> None:
    assert Qemu().traces(["-netdev", NETWORK]).ssh_port == 2222
    assert Qemu().traces(["-netdev", f"{NETWORK},hostfwd=tcp:127.77.0.2:80-:80"]).ssh_port == 2222
    assert Qemu().traces(["-netdev", "tap,id=net0"]).ssh_port == 22


def test_the_accelerator_is_read_from_the_words() -> None:
    assert Qemu().traces(["-accel", "tcg,tb-size=128"]).accel == "tcg"
    assert Qemu().traces(["-accel", "kvm", "-cpu", "host"]).accel == "kvm"
