"""``vm logs``: the console's log, or the supervisor's."""

import json
from collections.abc import Callable

from shared.vm import files
from tests.unit.cli.conftest import Cli, view
from tests.unit.cli.peer import Peer

Begin = Callable[..., Peer]


def test_the_console_is_printed_byte_for_byte(cli: Cli, peer: Begin) -> None:
    log = cli.root / files.CONSOLE_LOG
    log.write_bytes(b"login: \xff\r\n")
    peer({"vm.show": lambda _: view("web") | {"console_log": str(log)}})
    process = cli.popen("vm", "logs", "web", stdout=-1)
    assert process.communicate(timeout=50)[0] == b"login: \xff\r\n"


def test_the_supervisors_log_is_shown_as_lines(cli: Cli, peer: Begin) -> None:
    peer({"vm.show": lambda _: view("web")})
    state = cli.paths.vm_state("0123456789ab")
    state.mkdir(parents=True)
    (state / files.SUPERVISOR_LOG).write_text(json.dumps({"level": "info", "message": "up"}) + "\n")
    assert cli("vm", "logs", "web", "--supervisor").out == "info up\n"


def test_a_vm_that_was_never_started_has_no_log(cli: Cli, peer: Begin) -> None:
    peer({"vm.show": lambda _: view("web", state="created")})
    ran = cli("vm", "logs", "web")
    assert ran.status == 3
    assert ran.err.endswith("hint: nothing has been logged yet\n")
