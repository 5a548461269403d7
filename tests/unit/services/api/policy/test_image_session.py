"""Which words, variables, directory and account a command gets from its image, as docker has it."""

from collections.abc import Callable

import pytest

from services.api.policy.image_session import exec_of, odd_variables, run_of
from shared.contract.messages.guest_run import CommandWish, GuestRun
from shared.contract.messages.image import ImageConfig

SERVER = ImageConfig(entrypoint=["/entry.sh"], cmd=["serve", "-q"])
SHELL = ImageConfig(cmd=["/bin/sh"])
SYSTEMD = ImageConfig(entrypoint=["/lib/systemd/systemd"], cmd=["--log-level=info"])


@pytest.mark.parametrize(
    ("config", "wish", "argv"),
    [
        (SERVER, CommandWish(), ["/entry.sh", "serve", "-q"]),
        (SERVER, CommandWish(argv=["check"]), ["/entry.sh", "check"]),
        (SERVER, CommandWish(shell=True), []),
        (SERVER, CommandWish(shell=True, argv=["check"]), ["/entry.sh", "check"]),
        (SERVER, CommandWish(entrypoint=""), []),
        (SERVER, CommandWish(entrypoint="", argv=["ls", "-l"]), ["ls", "-l"]),
        (SERVER, CommandWish(entrypoint="sh"), ["sh"]),
        (SERVER, CommandWish(entrypoint="sh", shell=True), ["sh"]),
        (SERVER, CommandWish(entrypoint="sh", argv=["-c", "id"]), ["sh", "-c", "id"]),
        (SHELL, CommandWish(), ["/bin/sh"]),
        (SHELL, CommandWish(argv=["id"]), ["id"]),
        (ImageConfig(entrypoint=["/app"]), CommandWish(), ["/app"]),
        (ImageConfig(entrypoint=["/app"]), CommandWish(argv=["-v"]), ["/app", "-v"]),
        (ImageConfig(), CommandWish(), []),
        (ImageConfig(cmd=["/sbin/init"]), CommandWish(), []),
        (ImageConfig(cmd=["/sbin/init"]), CommandWish(argv=["id"]), ["id"]),
        (SYSTEMD, CommandWish(), []),
        (SYSTEMD, CommandWish(argv=["id"]), ["id"]),
        (SYSTEMD, CommandWish(entrypoint="/sbin/init", argv=["6"]), ["/sbin/init", "6"]),
        (ImageConfig(entrypoint=["/e"], cmd=["init"]), CommandWish(), ["/e", "init"]),
        (ImageConfig(entrypoint=["/init"]), CommandWish(), ["/init"]),
        (None, CommandWish(entrypoint="sh", argv=["-c", "id"]), ["sh", "-c", "id"]),
        (None, CommandWish(entrypoint="", argv=["id"]), ["id"]),
    ],
)
def test_run_puts_entrypoint_and_command_together(
    config: ImageConfig | None, wish: CommandWish, argv: list[str]
) -> None:
    made = run_of(config, wish)
    assert made is not None
    assert made.argv == argv


def test_an_image_without_a_config_changes_nothing() -> None:
    wish = CommandWish(argv=["id"], env={"A": "b"}, workdir="/srv", user="web")
    assert run_of(None, wish) is None
    assert exec_of(None, wish) is None


def test_exec_has_no_entrypoint() -> None:
    made = exec_of(SERVER, CommandWish(argv=["id"]))
    assert made == GuestRun(argv=["id"])


CONFIG = ImageConfig(env={"PATH": "/go/bin:/bin", "A": "image"}, workdir="/go", user="app:app")


Rule = Callable[[ImageConfig | None, CommandWish], GuestRun | None]


@pytest.mark.parametrize("rule", [run_of, exec_of])
def test_what_the_image_says_counts_where_the_user_said_nothing(rule: Rule) -> None:
    assert rule(CONFIG, CommandWish(argv=["id"], env={"B": "c"})) == GuestRun(
        argv=["id"],
        env={"PATH": "/go/bin:/bin", "A": "image", "B": "c"},
        workdir="/go",
        user="app:app",
        image_workdir=True,
        image_env=True,
    )
    given = CommandWish(argv=["id"], env={"A": "user"}, workdir="/srv", user="root")
    assert rule(CONFIG, given) == GuestRun(
        argv=["id"],
        env={"PATH": "/go/bin:/bin", "A": "user"},
        workdir="/srv",
        user="root",
        image_env=True,
    )


def test_a_relative_directory_is_one_below_the_root() -> None:
    made = exec_of(ImageConfig(workdir="srv/app"), CommandWish(argv=["id"]))
    assert made is not None
    assert made.workdir == "/srv/app"


def test_a_variable_that_no_shell_can_export_is_odd_variables_and_named() -> None:
    """The guest gets variables as shell text: a name is one, or it is a command."""
    odd = ImageConfig(env={"a; reboot": "x", "with.dot": "y", "1st": "z", "": "", "OK": "1"})
    made = exec_of(odd, CommandWish(argv=["id"]))
    assert made is not None
    assert made.env == {"OK": "1"}
    (sentence,) = odd_variables(odd, "web")
    assert sentence.endswith(": a; reboot, with.dot, 1st, ")
    assert odd_variables(CONFIG, "web") == []
