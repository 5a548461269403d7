"""``vm run``: what is created, what is said, and what is left."""

import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from shared.contract.reference import by_id
from shared.errors import BangerError, Code
from tests.unit.cli.conftest import Cli, view
from tests.unit.cli.peer import Answer, Peer, hold, refuse
from tests.waiting import eventually

Begin = Callable[..., Peer]
pytestmark = pytest.mark.usefixtures("guest")
WEB = view("web")
CREATE: dict[str, Answer] = {
    "vm.create": lambda _: WEB,
    "vm.delete": lambda _: WEB,
    "vm.show": lambda _: WEB,
}


def test_a_command_runs_and_its_status_comes_back(cli: Cli, peer: Begin) -> None:
    services = peer(CREATE)
    ran = cli("vm", "run", "--", "sh", "-c", "echo out; exit 42")
    assert (ran.status, ran.out) == (42, "out\n")
    assert services.verbs() == ["vm.create", "vm.show"]


def test_only_what_was_given_is_sent(cli: Cli, peer: Begin) -> None:
    services = peer(CREATE)
    cli("vm", "run", "-d", "--name", "web", "--memory", "2G", "--disk-size", "1G", "--nat")
    body = services.calls[-1][1]
    assert {key: value for key, value in body.items() if value is not None} == {
        "name": "web",
        "memory_mib": 2048,
        "disk_bytes": 1 << 30,
        "nat": True,
        "start": True,
        "wait": "ready",
    }


def made(**run: Any) -> dict[str, Answer]:
    """A creation whose image makes this of the command."""
    nothing = {"env": {}, "workdir": "", "user": "", "image_workdir": False, "image_env": False}
    return CREATE | {"vm.create": lambda _: WEB | {"command": nothing | run}}


def test_the_image_has_a_say_in_what_is_run(cli: Cli, peer: Begin) -> None:
    show = 'echo "$0 $STAGE $(pwd)"'
    run = {"argv": ["sh", "-c", show, "serve"], "env": {"STAGE": "image"}, "workdir": "/usr"}
    services = peer(made(**run))
    ran = cli("vm", "run", "--rm", "--image", "app", "-e", "A=b", "--entrypoint", "sh")
    assert (ran.status, ran.out) == (0, "serve image /usr\n")
    body = services.calls[0][1]
    assert body["command"] == {"env": {"A": "b"}, "entrypoint": "sh"}
    assert body["image"] == "app"


def test_words_and_no_entrypoint_are_sent_as_they_were_given(cli: Cli, peer: Begin) -> None:
    services = peer(made(argv=["true"]))
    words = ["-u", "app", "--entrypoint", "", "--", "a b", "-c"]
    assert cli("vm", "run", *words).status == 0
    assert services.calls[0][1]["command"] == {
        "argv": ["a b", "-c"],
        "user": "app",
        "entrypoint": "",
    }


def test_a_directory_of_the_image_that_is_not_there_is_no_obstacle(cli: Cli, peer: Begin) -> None:
    peer(made(argv=["echo", "on"], workdir="/nonexistent", image_workdir=True))
    ran = cli("vm", "run", "--rm")
    assert (ran.status, ran.out) == (0, "on\n")
    assert "warning: cannot enter /nonexistent" in ran.err


def test_a_shell_is_asked_for_where_somebody_is_there_to_use_it(cli: Cli, peer: Begin) -> None:
    services = peer(made(argv=["sh", "-c", "exit 3"]))
    assert cli.on_terminal(["vm", "run", "--rm"], []).status == 3
    assert services.calls[0][1]["command"] == {"shell": True}
    assert cli.on_terminal(["vm", "run", "--timeout", "5"], []).status == 2


def test_rm_deletes_the_vm_by_its_id_whatever_the_status(cli: Cli, peer: Begin) -> None:
    services = peer(CREATE)
    assert cli("vm", "run", "--rm", "--", "false").status == 1
    assert services.verbs() == ["vm.create", "vm.delete"]
    assert services.calls[-1][1] == {"ref": by_id(WEB["vm"]["id"])}


def test_a_run_is_three_requests(cli: Cli, peer: Begin) -> None:
    """Which services there are, the creation, the deletion."""
    services = peer(CREATE)
    assert cli("vm", "run", "--rm", "--", "true").status == 0
    assert services.requests == 3


def test_detached_prints_the_name(cli: Cli, peer: Begin) -> None:
    peer(CREATE)
    ran = cli("vm", "run", "-d")
    assert (ran.status, ran.out, ran.err) == (0, "web\n", "")


@pytest.mark.parametrize("argv", [[], ["--", "sh", "-c", "exit 4"]])
def test_one_line_says_what_goes_on_running(cli: Cli, peer: Begin, argv: list[str]) -> None:
    peer(CREATE)
    ran = cli("vm", "run", *argv, stdin=b"exit 4")
    assert ran.status == 4
    assert ran.err == "web is still running. Stop it with: banger vm stop web\n"


def test_sizes_and_each_stage_once_go_to_stderr(cli: Cli, peer: Begin) -> None:
    def create(_body: dict[str, Any]) -> dict[str, Any]:
        services.progress("spec", "2 vcpu | 2048 MiB | 8G disk")
        services.progress("boot", "starting the guest")
        services.progress("boot", "waiting for its agent")
        return WEB

    services = peer(CREATE | {"vm.create": create})
    ran = cli("vm", "run", "-d")
    assert ran.err == "spec: 2 vcpu | 2048 MiB | 8G disk\nboot: starting the guest\n"


@pytest.mark.parametrize(
    "args",
    [
        ["-d", "--rm"],
        ["-d", "--", "true"],
        ["-d", "--env", "A=b"],
        ["-d", "--timeout", "5"],
        ["-d", "--entrypoint", ""],
        ["--timeout", "0", "--", "true"],
        ["--timeout", "nan", "--", "true"],
        ["--timeout", "inf", "--", "true"],
        ["--timeout", "86401", "--", "true"],
        ["--memory", "0"],
        ["--vcpu", "-1"],
        ["--name", "No"],
        ["--image", ""],
        ["--egress", "some"],
        ["--egress", "allow="],
        ["--egress", "allow=not a name"],
        ["--nat", "--egress", "none"],
        ["--nat", "--egress", "allow=example.org"],
        ["-p", "80"],
        ["-p", "localhost:80:80"],
        ["-p", "8080:80/sctp"],
    ],
)
def test_contradictions_are_refused_before_anything_is_started(cli: Cli, args: list[str]) -> None:
    ran = cli("vm", "run", *args)
    assert ran.status == 2
    assert [line.split(":")[0] for line in ran.err.splitlines()] == ["error", "hint"]
    assert not cli.run_dir.exists()


def test_a_machine_that_never_became_ready_is_kept_in_spite_of_rm(cli: Cli, peer: Begin) -> None:
    failed = refuse(Code.GUEST_FAILED, "web: the agent never came", details={"kept": "web"})
    services = peer({"vm.create": failed})
    ran = cli("vm", "run", "--rm", "--", "true")
    assert ran.status == 1
    assert ran.err.startswith(
        "Keeping web despite --rm: it never became ready. Delete it with: banger vm delete web\n"
        "error: web:"
    )
    assert services.verbs() == ["vm.create"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_creating_cancels_the_creation(
    cli: Cli, peer: Begin, number: signal.Signals
) -> None:
    services = peer({"vm.create": hold})
    process = cli.popen("vm", "run", "--rm", "--", "true", stderr=-1)
    eventually(lambda: services.verbs() == ["vm.create"])
    process.send_signal(number)
    _, err = process.communicate(timeout=50)
    assert process.returncode == 128 + number
    assert err == b"Cancelling vm create.\n"
    assert services.cancelled.is_set()


def test_a_signal_during_the_command_still_deletes(cli: Cli, peer: Begin) -> None:
    services = peer(CREATE)
    process = cli.popen(
        "vm", "run", "--rm", "--", "sh", "-c", "echo up; exec cat", stdin=-1, stdout=-1
    )
    assert process.stdout
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(50) == 128 + signal.SIGTERM
    assert services.verbs() == ["vm.create", "vm.delete"]


SIGNAL_AT_THE_FIRST_CLOSE = """
import os, signal, sys
from cli.__main__ import run
from shared.bus.client import Client
close = Client.close
def close_and_signal(client):
    Client.close = close
    close(client)
    os.kill(os.getpid(), signal.SIGTERM)
Client.close = close_and_signal
sys.exit(run(["vm", "run", "--rm", "--", "true"]))
"""


def test_a_signal_between_the_creation_and_the_command_still_deletes(cli: Cli, peer: Begin) -> None:
    services = peer(CREATE)
    code = [sys.executable, "-c", SIGNAL_AT_THE_FIRST_CLOSE]
    done = subprocess.run(code, env=cli.env, check=False, timeout=50)
    assert done.returncode == 128 + signal.SIGTERM
    assert services.verbs() == ["vm.create", "vm.delete"]


def test_a_command_out_of_time_is_ended_and_the_vm_still_deleted(cli: Cli, peer: Begin) -> None:
    services = peer(CREATE)
    script = "trap 'echo ended; exit 3' TERM; echo up; read x"
    process = cli.popen(
        *("vm", "run", "--rm", "--timeout", "0.2", "--", "sh", "-c", script),
        stdin=-1, stdout=-1, stderr=-1,
    )  # fmt: skip
    out, err = process.stdout, process.stderr
    assert process.wait(50) == 7
    assert out
    assert err
    assert out.read() == b"up\nended\n"
    assert err.read() == b"error: sh was still running after 0.2 s and was terminated\n"
    assert services.verbs() == ["vm.create", "vm.delete"]


def test_a_command_in_time_keeps_its_status(cli: Cli, peer: Begin) -> None:
    peer(CREATE)
    assert cli("vm", "run", "--timeout", "40", "--", "sh", "-c", "exit 9").status == 9


def test_a_delete_that_fails_is_told_and_the_status_stays(cli: Cli, peer: Begin) -> None:
    def fail(_body: dict[str, Any]) -> dict[str, Any]:
        raise BangerError(Code.BUSY, "web is busy")

    peer(CREATE | {"vm.delete": fail})
    ran = cli("vm", "run", "--rm", "--", "sh", "-c", "exit 9")
    assert ran.status == 9
    assert "web is not deleted yet" in ran.err


def test_a_command_has_its_streams_also_when_ours_are_closed(cli: Cli, peer: Begin) -> None:
    peer(CREATE)
    process = cli.popen("vm", "run", "--", "sh", "-c", "cat; exit 42", closed=(0, 1, 2))
    assert process.wait(50) == 42


def test_what_the_boot_has_to_say_is_said(cli: Cli, peer: Begin) -> None:
    told = WEB | {"notices": ["file_sync: ~/.netrc is not there"]}
    peer({"vm.create": lambda _: told, "vm.start": lambda _: told})
    for words in (["run", "-d"], ["create"], ["start", "web"]):
        assert cli("vm", *words).err == "file_sync: ~/.netrc is not there\n"


@pytest.mark.parametrize(
    ("source", "fields"),
    [
        ("db", {"from_vm": "db", "from_snapshot": ""}),
        ("db/clean", {"from_vm": "db", "from_snapshot": "clean"}),
    ],
)
def test_a_copy_is_made_runs_and_is_gone(
    cli: Cli, peer: Begin, source: str, fields: dict[str, str]
) -> None:
    services = peer(CREATE)
    ran = cli("vm", "run", "--rm", "--from", source, "--", "echo", "out")
    assert (ran.status, ran.out) == (0, "out\n")
    assert services.verbs() == ["vm.create", "vm.delete"]
    assert fields.items() <= services.calls[0][1].items()


@pytest.mark.parametrize("words", [["--image", "alpine"], ["--from", ""]])
def test_a_copy_of_two_things_or_of_nothing_is_refused(cli: Cli, words: list[str]) -> None:
    assert cli("vm", "run", "--from", "web", *words).status == 2
    assert not cli.run_dir.exists()
