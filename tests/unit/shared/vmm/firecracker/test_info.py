"""A Firecracker is known by its command line, the jailer's form of it too."""

from shared.vmm.firecracker.info import Firecracker

VM = "0123456789ab"


def test_it_is_known_by_its_id_in_both_forms() -> None:
    info = Firecracker()
    assert info.recognises(["firecracker", "--id", f"banger-{VM}", "--api-sock", "/a"], VM)
    assert info.recognises(["/firecracker", f"--id=banger-{VM}"], VM)
    assert not info.recognises(["firecracker", "--id", f"banger-{VM}0"], VM), "another VM"
    assert not info.recognises(["qemu", "-name", f"banger-{VM}"], VM), "another VMM"


def test_its_guests_run_under_kvm_and_are_reached_at_their_own_address() -> None:
    traces = Firecracker().traces([])
    assert (traces.accel, traces.ssh_port) == ("kvm", 22)
