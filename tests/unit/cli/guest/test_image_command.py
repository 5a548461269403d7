"""What of a command is sent, and what is run of the answer."""

from cli.guest.image_command import Wish
from shared.bus.record import Record
from shared.contract.guest_command import GuestCommand
from shared.contract.messages.guest_run import CommandWish


def test_only_what_was_given_is_sent() -> None:
    assert Wish(("id",), {}).fields() == {"argv": ("id",)}
    assert Wish(entrypoint="", shell=True).fields() == {"entrypoint": "", "shell": True}
    assert set(Wish._fields) == set(CommandWish.__struct_fields__)


def test_without_an_answer_the_command_is_what_was_said() -> None:
    wish = Wish(("id",), {"A": "b"}, "bob", "/srv")
    assert wish.command(None) == GuestCommand(("id",), "/srv", {"A": "b"}, "bob")
    assert Wish().command(None) == GuestCommand(())


def test_an_answer_is_run_as_it_is() -> None:
    made = Record(
        argv=["/entry", "id"],
        env={"PATH": "/x"},
        workdir="/app",
        user="app",
        image_workdir=True,
        image_env=True,
    )
    assert Wish(("id",)).command(made) == GuestCommand(  # type: ignore[arg-type]
        ("/entry", "id"), "/app", {"PATH": "/x"}, "app", fallback=True, plain_shell=True
    )
