"""Commands under another account, by the program in the guest: the forms that docker's USER has."""

import os
import subprocess
from collections.abc import Callable, Iterator

import pytest

from shared.contract.guest_command import VARIABLE, GuestCommand, text_of
from tests.scripted.ssh_sessions import Guest

Run = Callable[..., str]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")


@pytest.fixture
def run() -> Iterator[Run]:
    machine = Guest()

    def run(command: GuestCommand, **environment: str) -> str:
        text = {VARIABLE: text_of(command, "t0")}
        done = subprocess.run(
            [machine.program], env={**os.environ, **environment, **text}, capture_output=True,
            stdin=subprocess.DEVNULL, timeout=30, check=False, text=True,
        )  # fmt: skip
        return done.stdout or done.stderr.partition("\n")[0].removeprefix("\0t0 ")

    os.chmod(machine.program.parent, 0o755)  # noqa: PTH101 - others run it, too
    yield run
    machine.close()


@needs_root
@pytest.mark.parametrize(
    ("user", "ids"),
    [
        ("daemon", "1 1 1"),
        ("1", "1 1 1"),
        ("daemon:tty", "1 5 5"),
        ("daemon:7", "1 7 7"),
        ("4321", "4321 0 0"),
        ("4321:4322", "4321 4322 4322"),
        ("4321:tty", "4321 5 5"),
        ("0:5", "0 5 5"),
        (":5", "0 5 5"),
    ],
)
def test_user_and_group_are_names_or_numbers(run: Run, user: str, ids: str) -> None:
    script = "echo $(id -u) $(id -g) $(id -G)"
    assert run(GuestCommand(["sh", "-c", script], user=user)) == f"{ids}\n"


@pytest.mark.parametrize("user", ["eve", "r..t", "root:no-such-group", "4321:eve", "12x", "a:"])
def test_what_the_guest_does_not_have_is_refused(run: Run, user: str) -> None:
    assert run(GuestCommand(["id"], user=user)) == "no-user"


@needs_root
def test_a_number_without_an_account_has_the_root_directory_for_a_home(run: Run) -> None:
    command = GuestCommand(["sh", "-c", 'echo "$HOME $USER $(pwd)"'], user="4321")
    assert run(command) == "/ 4321 /\n"


def test_a_shell_that_is_to_keep_its_path_is_no_login_shell(run: Run) -> None:
    shell = "/bin/echo"  # says what it was called with
    assert run(GuestCommand([]), SHELL=shell) == "-l\n"
    assert run(GuestCommand([], plain_shell=True), SHELL=shell) == "\n"
