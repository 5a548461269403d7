"""The command as a process: what it imports, its streams, what a bug looks like."""

import ast
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.home import REPOSITORY
from tests.unit.cli.commands.vm.snapshot.answers import shot
from tests.unit.cli.conftest import Cli, view
from tests.unit.cli.peer import Peer

Begin = Callable[..., Peer]

HEAVY = {
    "asyncio",
    "asyncssh",
    "importlib.metadata",
    "msgspec",
    "pyroute2",
    "rich",
    "shared.config",
    "sqlalchemy",
    "subprocess",
    "zmq",
}
LIGHT = {"contextvars", "cython_runtime", "fcntl", "gc", "locale", "msgpack", "struct"}
"""Packages that a listing imports besides click, what click itself needs, and ours."""
CLICK_FOR_SHORT_OPTIONS = {"difflib", "heapq"}
"""click looks for similar long options before it reads ``-o`` as a short one."""


def modules_of(cli: Cli, *args: str) -> set[str]:
    """What a command has imported when it has done its work."""
    return modules_after(
        f"from cli.__main__ import run; assert run({list(args)}) == 0", cli.env, cli.root
    )


def modules_after(
    code: str, environment: Mapping[str, str] | None = None, cwd: Path | None = None
) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; print(*sys.modules, file=sys.stderr)"],
        env=environment,
        cwd=cwd,
        capture_output=True,
        check=True,
        timeout=30,
    )
    return set(done.stderr.decode().split())


WEB = view("web", publish=[{"host_port": 8080, "guest_port": 80, "host_address": "127.0.0.1",
                            "protocol": "tcp"}])  # fmt: skip
EVERYDAY: dict[str, dict[str, Any]] = {
    "vm list": {"vm.list": {"vms": [WEB]}},
    "vm list -o json": {"vm.list": {"vms": [WEB]}},
    "vm show web": {"vm.show": WEB},
    "vm create --nat": {"vm.create": WEB},
    "vm run -d": {"vm.create": WEB},
    "vm run --rm -- true": {"vm.create": WEB, "vm.delete": WEB},
    "vm start web": {"vm.start": WEB},
    "vm stop web": {"vm.stop": WEB},
    "vm suspend web": {"vm.suspend": WEB},
    "vm resume web": {"vm.resume": WEB},
    "vm snapshot create web": {"snapshot.create": shot()},
    "vm snapshot list": {"snapshot.list": {"snapshots": [shot()]}},
    "vm snapshot restore web clean": {"snapshot.restore": WEB},
    "vm fork web": {"vm.fork": {"vms": [], "pause_seconds": 0.1, "notices": []}},
    "vm run --rm --from web/clean -- true": {"vm.create": WEB, "vm.delete": WEB},
    "vm workspace list": {"vm.list": {"vms": [WEB]}},
    "vm ports web": {
        "vm.ports": {"id": "0", "name": "web", "ports": []},
    },
    "image list": {"image.list": {"images": [], "available": [], "broken": []}},
    "ops list": {"ops.list": {"operations": []}},
    "daemon start": {"daemon.start": {}},
}
"""Command line → what the services answer."""


@pytest.mark.usefixtures("guest")
@pytest.mark.parametrize("line", EVERYDAY)
def test_an_everyday_command_imports_nothing_heavy(cli: Cli, peer: Begin, line: str) -> None:
    peer({verb: partial(lambda answer, _: answer, given) for verb, given in EVERYDAY[line].items()})
    assert not HEAVY & modules_of(cli, *line.split())


@pytest.mark.parametrize(
    ("args", "more"),
    [(["vm", "list"], set()), (["vm", "list", "-o", "json"], {"json"} | CLICK_FOR_SHORT_OPTIONS)],
)
def test_a_listing_imports_click_and_little_else(
    cli: Cli, peer: Begin, args: list[str], more: set[str]
) -> None:
    """A listing is typed most, and imports are most of its time: a package that is new here has to
    be worth that at every prompt. Private modules come with a public one."""
    peer({"vm.list": lambda _: {"vms": [WEB]}})
    packages = {name.partition(".")[0] for name in modules_of(cli, *args)}
    public = {name for name in packages if not name.startswith("_")}
    assert public - modules_after("import click") - LIGHT - more == {"cli", "shared"}


@pytest.mark.usefixtures("guest")
def test_a_command_in_a_guest_imports_nothing_heavy(cli: Cli, peer: Begin) -> None:
    peer({"vm.access": lambda _: view("web")})
    imported = modules_of(cli, "vm", "exec", "web", "--", "true")
    assert not (HEAVY | {"hashlib", "cli.commands.vm.inspect.show"}) & imported


def test_help_imports_no_bus(cli: Cli) -> None:
    assert not {"msgpack", "zmq"} & modules_of(cli, "vm", "--help")


@pytest.mark.parametrize(
    "args",
    [
        ["version"],
        ["--version"],
        ["--help"],
        ["vm", "run", "--help"],
        ["completion", "bash"],
        ["daemon", "stop"],
    ],
)
def test_what_needs_no_services_starts_none(cli: Cli, args: list[str]) -> None:
    ran = cli(*args)
    assert ran.status == 0
    assert not cli.run_dir.exists()


def test_status_without_services_says_so_and_starts_none(cli: Cli) -> None:
    ran = cli("daemon", "status", "-o", "json")
    assert (ran.status, ran.out) == (6, '{\n  "running": false,\n  "services": []\n}\n')
    assert not cli.run_dir.exists()


def test_a_usage_error_is_json_too_when_that_was_asked_for(cli: Cli) -> None:
    ran = cli("vm", "show", "-o", "json")
    assert ran.err.startswith('{"error": {"code": "usage"')


def test_a_bug_is_one_line_and_its_traceback_in_the_log(cli: Cli, peer: Begin) -> None:
    peer({"vm.list": lambda _: {"unexpected": 1}})
    ran = cli("vm", "list")
    assert ran.status == 1
    error, hint = ran.err.splitlines()
    assert error == "error: AttributeError: this result has no field 'vms'"
    assert hint.startswith("hint: this is a bug, please report it; its traceback is in ")
    assert "Traceback" not in ran.err
    assert "Traceback" in cli.paths.log_file("cli").read_text()


@pytest.mark.parametrize("fd", [0, 1, 2])
@pytest.mark.parametrize(("args", "status"), [(["--help"], 0), (["nope"], 2)])
def test_a_stream_that_is_closed_and_not_needed_changes_no_exit_status(
    cli: Cli, fd: int, args: list[str], status: int
) -> None:
    process = cli.popen(*args, closed=[fd], stdin=-1, stdout=-1, stderr=-1)
    out, err = process.communicate(timeout=50)
    assert process.returncode == (1 if fd == 1 and args == ["--help"] else status)
    assert b"report it" not in out + err


@pytest.mark.parametrize(
    ("stream", "args", "status"), [("stdout", ["--help"], 1), ("stderr", ["nope"], 2)]
)
def test_a_stream_without_room_is_no_bug(
    cli: Cli, stream: str, args: list[str], status: int
) -> None:
    with Path("/dev/full").open("wb") as full:
        out, errors = (full, -1) if stream == "stdout" else (-1, full)
        process = cli.popen(*args, stdout=out, stderr=errors)
    _, err = process.communicate(timeout=50)
    assert process.returncode == status
    if stream == "stdout":
        assert err == b"error: cannot write the output: No space left on device\n"


def test_the_cli_imports_shared_only() -> None:
    for path in sorted((REPOSITORY / "cli").rglob("*.py")):
        assert not _imported(path) & {"services", "zmq", "sqlalchemy", "pyroute2", "dnslib"}, path


def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_output_that_a_closed_stdout_cannot_take_is_an_error(cli: Cli, peer: Begin) -> None:
    peer({"vm.list": lambda _: {"vms": [WEB]}})
    listing = cli.popen("vm", "list", closed=[1], stderr=subprocess.PIPE)
    _, said = listing.communicate(timeout=30)
    assert (listing.returncode, said) == (1, b"error: cannot write the output: stdout is closed\n")
