import pytest

from services.images.provision.commands import GuestCommands, failed
from shared.errors import BangerError, Code


def test_each_line_is_passed_on_clean_and_short(commands: GuestCommands, said: list[str]) -> None:
    commands.script("x", r"printf 'one\n\n\033[31mtwo\n'; echo three >&2; printf %0999d 0")
    assert said[:3] == ["one", "\N{REPLACEMENT CHARACTER}[31mtwo", "three"]
    assert [len(line) for line in said[3:]] == [300]


def test_a_command_that_fails_is_told_with_its_last_lines(commands: GuestCommands) -> None:
    with pytest.raises(BangerError) as caught:
        commands.script("line 3, RUN x", "seq 100; exit 7")
    assert caught.value.code is Code.GUEST_FAILED
    assert caught.value.message == "line 3, RUN x ended with status 7: 100"
    assert caught.value.details["output"] == [str(number) for number in range(41, 101)]
    assert caught.value.hint == ""


def test_directory_and_variables_are_the_commands(commands: GuestCommands, said: list[str]) -> None:
    argv = ["/bin/sh", "-c", 'pwd; echo "$WORDS"']
    commands.run("x", argv, cwd="/usr", env={"WORDS": "a  'b'"})
    assert said == ["/usr", "a  'b'"]


def test_answers_and_questions(commands: GuestCommands) -> None:
    assert commands.answer('echo "$1"; echo more', ["a b"]) == "a b"
    assert commands.succeeds('[ "$1" = x ]', ["x"])
    assert not commands.succeeds('[ "$1" = x ]', ["y"])


def test_output_without_end_of_line_and_without_end_is_bounded(
    commands: GuestCommands, said: list[str]
) -> None:
    commands.script("x", "head -c 3000000 /dev/zero | tr '\\0' x")
    assert len(said) == 1


def test_a_build_that_is_cut_off_is_told_how_it_gets_out() -> None:
    error = failed("x", 100, ["E: Temporary failure resolving 'mirror'"])
    assert "--nat" in error.hint
