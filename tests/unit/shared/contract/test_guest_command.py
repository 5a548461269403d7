"""How a command is packed for the guest's program, and how its announcement is read."""

import os
import subprocess

import pytest

from shared.contract.guest_command import (
    LONGEST,
    Announcement,
    GuestCommand,
    environment,
    signal_word,
    text_of,
)
from shared.errors import BangerError, Code


def unpacked(command: GuestCommand, show: str) -> bytes:
    """What the shell of the guest's program makes of it."""
    script = f'eval "$1"; {show}'
    argv = ["sh", "-c", script, "sh", text_of(command, "t0")]
    return subprocess.run(argv, capture_output=True, check=True).stdout


def test_words_are_unpacked_as_they_were() -> None:
    words = ["a b", "$HOME", "it's", "", "*", "new\nline", "-x", os.fsdecode(b"\xff")]
    shown = unpacked(GuestCommand(words), "printf '%s|' \"$@\"")
    assert shown == b"".join(os.fsencode(word) + b"|" for word in words)


def test_the_rest_is_unpacked_too() -> None:
    command = GuestCommand(["x"], cwd="/a b", env={"V": "x 'y", "cwd": "2"}, user="bob")
    show = 'echo "$cwd|$user|$token|$tty"; eval "$variables"; sh -c \'echo "$V|$cwd"\''
    assert unpacked(command, show) == b"/a b|bob|t0|\nx 'y|2\n"


def test_a_workspace_is_asked_for_by_two_words() -> None:
    show = 'echo "$fallback|$mise|$plain"'
    assert unpacked(GuestCommand(["x"], fallback=True, mise=True), show) == b"yes|yes|\n"
    assert unpacked(GuestCommand([], plain_shell=True), show) == b"||yes\n"
    assert unpacked(GuestCommand(["x"]), show) == b"||\n"


def test_the_login_shell_is_kept_from_start_up_files() -> None:
    names = [each.partition(b"=")[0] for each in environment(GuestCommand(["x"]), "t0")]
    assert names == [b"SHLVL", b"ZDOTDIR", b"XDG_CONFIG_HOME", b"BANGER_EXEC"]


def test_what_the_kernel_would_refuse_is_invalid() -> None:
    fits = GuestCommand(["x" * (LONGEST - 200)])
    assert environment(fits, "t0")
    with pytest.raises(BangerError, match="at most 120 KiB") as raised:
        environment(GuestCommand(["x" * LONGEST]), "t0")
    assert raised.value.code is Code.INVALID
    assert "standard input" in raised.value.hint


def test_a_signal_is_one_plain_line_for_any_shell() -> None:
    assert signal_word("INT", "42") == "/run/banger/exec signal INT 42"


def test_the_announcement_is_taken_out_and_what_is_before_it_is_kept_apart() -> None:
    announcement = Announcement("t0")
    pieces = [b"greet", b"ing\n\0t", b"0 4", b"2\nthe command's", b" own"]
    assert b"".join(map(announcement.take, pieces)) == b"the command's own"
    assert (announcement.word, announcement.before) == ("42", b"greeting\n")
    assert announcement.started


def test_a_guest_that_never_announces_anything_fills_no_memory() -> None:
    announcement = Announcement("t0")
    for _ in range(100):
        assert announcement.take(b"x" * 4096) == b""
    assert len(announcement.before) <= Announcement.MOST
    assert not announcement.started


def test_a_refusal_is_no_start() -> None:
    announcement = Announcement("t0")
    announcement.take(b"\0t0 no-user\n")
    assert (announcement.word, announcement.started) == ("no-user", False)
