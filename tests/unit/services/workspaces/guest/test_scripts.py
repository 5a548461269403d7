"""The scripts are POSIX shell, for either shell that may run them."""

import subprocess

import pytest

from services.workspaces.guest.scripts import PLACE, UPDATE, busybox_argv
from shared.contract.guest_command import GuestCommand, environment
from tests.scripted.local_guest import BUSYBOX, DASH


@pytest.mark.parametrize("shell", [BUSYBOX, DASH], ids=["busybox", "dash"])
@pytest.mark.parametrize("script", [PLACE, UPDATE], ids=["place", "update"])
def test_shells_take_them(script: str, shell: tuple[str, ...]) -> None:
    subprocess.run([*shell, "-n", "-c", script], check=True)


@pytest.mark.parametrize("script", [PLACE, UPDATE], ids=["place", "update"])
def test_they_fit_into_a_command_with_the_longest_path(script: str) -> None:
    argv = busybox_argv(script, ["/" + "'" * 1023, "0" * 12, "first", "'" * 4095])
    assert environment(GuestCommand(argv), "token")


def test_words_are_words() -> None:
    assert busybox_argv("true", ["a b", ""])[-3:] == ["sh", "a b", ""]
