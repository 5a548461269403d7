"""Everything that a command prints of a guest's words: a terminal only prints it."""

import json
from collections.abc import Callable

import pytest

from shared.errors import BangerError, Code
from shared.vm import files
from tests.unit.cli.conftest import Cli, view
from tests.unit.cli.peer import Answer, Peer

Begin = Callable[..., Peer]

HOSTILE = "\x1b]52;c;ZXZpbA==\x07\x1b[2J\x9b31m‮evil⁦\nerror: forged\r\x00"
VM = view("web", state="failed", reason=HOSTILE, image_name=HOSTILE)


def hostile_error(_: object) -> dict[str, object]:
    raise BangerError(Code.GUEST_FAILED, HOSTILE, hint=HOSTILE)


HEALTH = {
    "id": "0123456789ab",
    "name": "web",
    "healthy": True,
    "checks": [{"name": "agent", "ok": True, "detail": HOSTILE, "milliseconds": None}],
}
PORTS = {
    "id": "0123456789ab",
    "name": "web",
    "ports": [
        {
            "protocol": "tcp",
            "guest_address": HOSTILE,
            "guest_port": 80,
            "host_address": "",
            "host_port": None,
            "url": HOSTILE,
            "published": False,
            "reason": HOSTILE,
        }
    ],
}
OPERATION = {
    "id": "a" * 32,
    "verb": "vm.create",
    "subject": HOSTILE,
    "state": "failed",
    "stage": HOSTILE,
    "message": HOSTILE,
    "code": "",
    "started_at": HOSTILE,
    "ended_at": "",
}
SCRIPT: dict[str, Answer] = {
    "vm.list": lambda _: {"vms": [VM]},
    "vm.show": lambda _: VM,
    "vm.start": hostile_error,
    "vm.health": lambda _: HEALTH,
    "vm.ports": lambda _: PORTS,
    "ops.list": lambda _: {"operations": [OPERATION]},
    "ops.show": lambda _: OPERATION,
}


@pytest.mark.parametrize(
    "command",
    [
        "vm list",
        "vm list -o json",
        "vm show web",
        "vm start web",
        "vm start web -o json",
        "vm health web",
        "vm ports web",
        "ops list",
        "ops list -o name",
        "ops show aa",
    ],
)
def test_words_of_a_guest_are_only_printed(cli: Cli, peer: Begin, command: str) -> None:
    peer(SCRIPT)
    ran = cli(*command.split(), env={"NO_COLOR": "1"})
    check(ran.out + ran.err)
    assert not any(line.startswith("error: forged") for line in (ran.out + ran.err).split("\n"))
    if "list -o json" not in command:
        assert "evil" in ran.out + ran.err


@pytest.mark.parametrize("argv", ["vm logs web", "vm logs web --supervisor", "daemon logs api"])
def test_logs_on_a_terminal_are_only_printed(cli: Cli, peer: Begin, argv: str) -> None:
    state = cli.paths.vm_state("0123456789ab")
    said = HOSTILE.encode(errors="replace")
    lines = [json.dumps({"message": HOSTILE, "reason": HOSTILE, "traceback": HOSTILE}).encode()]
    for path, content in (
        (state / files.CONSOLE_LOG, said + b"\n"),
        (state / files.SUPERVISOR_LOG, b"\n".join([*lines, said])),
        (cli.paths.log_file("api"), b"\n".join([*lines, said])),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    peer({"vm.show": lambda _: VM | {"console_log": str(state / files.CONSOLE_LOG)}})
    ran = cli.on_terminal(argv.split(), [])
    assert ran.status == 0
    assert "evil" in ran.out
    check(ran.out.replace("\r\n", "\n"))


def test_raw_logs_are_for_those_who_want_them(cli: Cli, peer: Begin) -> None:
    log = cli.root / files.CONSOLE_LOG
    log.write_bytes(b"\x1b[31mred\x1b[0m\n")
    peer({"vm.show": lambda _: view("web") | {"console_log": str(log)}})
    assert cli.on_terminal(["vm", "logs", "web"], []).out == "red\r\n"
    assert cli.on_terminal(["vm", "logs", "web", "--raw"], []).out == "\x1b[31mred\x1b[0m\r\n"


def check(shown: str) -> None:
    """Nothing but printable characters and line breaks."""
    assert all(letter.isprintable() or letter in "\n\t" for letter in shown), repr(shown)
