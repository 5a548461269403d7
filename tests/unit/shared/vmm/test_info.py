"""What all VMMs share: how a command line is read, and what a VM is called in it."""

from shared.vmm.info import has_option, process_name


def test_an_option_counts_with_its_value_as_the_next_word() -> None:
    argv = ["vmm", "-m", "512", "-accel", "kvm"]
    assert has_option(argv, "-accel", "kvm")
    assert not has_option(argv, "-accel", "tcg")
    assert not has_option(argv, "-m", "kvm")
    assert not has_option([], "-m", "512")


def test_the_name_of_a_vm_in_the_process_table_stays_what_it_is() -> None:
    """VMMs that run when a new version is installed are found by it."""
    assert process_name("0123456789ab") == "banger-0123456789ab"
