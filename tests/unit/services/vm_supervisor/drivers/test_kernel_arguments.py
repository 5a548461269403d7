"""The kernel's command line, word by word where it matters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.vm_supervisor.drivers.kernel_arguments import kernel_arguments
from shared.vmm.accelerator import Accel, Accelerator

KVM = Accelerator(Accel.KVM, "")
COMMAND_LINE_SIZE = 2048
"""Of x86 (arch/x86/include/asm/setup.h of Linux): the kernel cuts a longer line."""

a_word = st.text("abcdefghijklmnopqrstuvwxyz0123456789.=-", min_size=1, max_size=20)


@pytest.mark.parametrize(
    "word",
    [
        "console=ttyS0",  # the console that the supervisor keeps
        "panic=-1",  # a panic ends the VMM
        "net.ifnames=0",  # guest/rootfs/start names the devices
        "systemd.mask=ssh.socket",  # its port is banger's sshd's
    ],
)
def test_every_guest_gets_what_the_supervisor_and_the_guests_init_rely_on(word: str) -> None:
    assert word in kernel_arguments(KVM).split(" ")


def test_emulated_guest_is_given_the_frequency_of_its_tsc_and_need_not_measure_it() -> None:
    emulated = Accelerator(Accel.TCG, "no KVM here", 2_600_000)
    assert kernel_arguments(emulated) == kernel_arguments(KVM) + (
        " tsc=reliable tsc_early_khz=2600000"
    )


@pytest.mark.parametrize("accelerator", [KVM, Accelerator(Accel.TCG, "of a host without a TSC")])
def test_guest_measures_a_tsc_of_unknown_frequency(accelerator: Accelerator) -> None:
    assert "tsc" not in kernel_arguments(accelerator)


def test_reason_for_the_accelerator_is_for_people_and_not_for_the_kernel() -> None:
    reasoned = Accelerator(Accel.TCG, "init=/bin/sh", 1)
    assert kernel_arguments(reasoned) == kernel_arguments(Accelerator(Accel.TCG, "", 1))


@given(st.lists(a_word, max_size=6), st.none() | st.integers(1, 10_000_000))
def test_words_of_a_machine_are_added_as_they_are_and_change_nothing_else(
    words: list[str], khz: int | None
) -> None:
    accelerator = Accelerator(Accel.TCG, "", khz)
    common, measured = kernel_arguments(KVM), ["tsc=reliable", f"tsc_early_khz={khz}"]
    expected = [*common.split(" "), *words, *(measured if khz else [])]
    assert kernel_arguments(accelerator, tuple(words)).split(" ") == expected


def test_no_parameter_is_given_twice_and_the_line_has_room() -> None:
    line = kernel_arguments(Accelerator(Accel.TCG, "", 2_600_000))
    words = line.split(" ")
    assert len(set(words)) == len(words)
    assert len(line) < COMMAND_LINE_SIZE - 512  # of which a machine's own words take a part
