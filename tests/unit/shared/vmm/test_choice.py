"""The first VMM that can run a VM is chosen, or the one that was asked for; why is told."""

from pathlib import Path

import pytest

from shared.config import Config
from shared.errors import BangerError, Code
from shared.vmm.choice import Choice, choose
from shared.vmm.info import LaunchContext
from tests.unit.shared.vmm.example import Paper, registered

CONTEXT = LaunchContext(Config(firecracker_bin="no-such-firecracker"), Path("/k"), Path("/r"))


def out_of_paper() -> BangerError:
    return BangerError(Code.INCOMPATIBLE, "there is no paper", hint="buy some")


def test_the_first_that_can_is_chosen() -> None:
    with registered(Paper()):
        assert choose("auto", "user", CONTEXT) == Choice("paper", "there is paper here")


def test_where_it_cannot_the_next_one_is_and_says_why() -> None:
    with registered(Paper(obstacle=out_of_paper())):
        assert choose("auto", "bridge", CONTEXT) == Choice("qemu", "there is no paper")


def test_one_that_does_not_have_the_network_is_not_even_asked() -> None:
    with registered(Paper("bridge", obstacle=out_of_paper())):
        assert choose("auto", "user", CONTEXT) == Choice("qemu", "for its user-mode network")


def test_what_was_asked_for_and_cannot_be_is_refused_with_a_way_out() -> None:
    with registered(Paper(obstacle=out_of_paper())), pytest.raises(BangerError) as caught:
        choose("paper", "user", CONTEXT)
    assert caught.value.code is Code.INCOMPATIBLE
    assert caught.value.hint == "buy some, or use --vmm qemu"


def test_a_network_that_it_does_not_have_is_refused() -> None:
    with registered(Paper("bridge")), pytest.raises(BangerError) as caught:
        choose("paper", "user", CONTEXT)
    assert caught.value.message == "Paper has no user-mode network"
    assert "nat.enabled" in caught.value.hint
    assert "--vmm qemu" in caught.value.hint


def test_one_is_had_for_the_asking() -> None:
    with registered(Paper()):
        assert choose("qemu", "bridge", CONTEXT) == Choice("qemu", "as asked")


def test_one_that_there_is_not_is_refused() -> None:
    with pytest.raises(BangerError) as caught:
        choose("papyrus", "user", CONTEXT)
    assert caught.value.code is Code.INVALID
    assert "auto, firecracker, qemu" in caught.value.hint


def test_without_its_binary_firecracker_leaves_the_vm_to_qemu() -> None:
    chosen = choose("auto", "bridge", CONTEXT)
    assert chosen.vmm == "qemu"
    assert "no-such-firecracker" in chosen.reason
