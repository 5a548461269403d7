"""One stack of services per state directory, whatever its run directory, and whatever becomes of
that."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.errors import EXIT_STATUS, Code
from shared.host.locks import holder
from tests.home import Home, processes_of
from tests.integration.guests import Guests, kill, new_guests
from tests.stack import LAUNCHER, Stack
from tests.waiting import eventually

CONFLICT = EXIT_STATUS[Code.CONFLICT]


def from_elsewhere(home: Home, **more: str) -> Home:
    """The same user in another session: cron, su, docker exec, or the next login."""
    environment = {k: v for k, v in home.environment.items() if k != "BANGER_RUN_DIR"}
    session = home.root / "session"
    session.mkdir(exist_ok=True)
    environment = {**environment, "XDG_RUNTIME_DIR": str(session), **more}
    return Home(home.root, environment, home.prefix)


def own_run_directory(home: Home) -> Home:
    return from_elsewhere(home, BANGER_RUN_DIR=str(home.root / "other"))


# -- a second stack -------------------------------------------------------------------------


@pytest.mark.parametrize("service", ["launcher", "broker", "store", "images", "workspaces", "api"])
def test_a_second_stack_is_refused_and_told_where_the_first_one_is(
    stack: Stack, service: str
) -> None:
    before = stack.registered()
    second = own_run_directory(stack.home).run(f"services.{service}")
    assert second.returncode == CONFLICT
    assert second.stderr == (
        f"error: {stack.paths.state} is served from {stack.paths.run}\n"
        f"hint: set BANGER_RUN_DIR={stack.paths.run}\n"
    )
    assert stack.registered() == before


@pytest.mark.parametrize("command", ["vm list", "daemon status", "daemon stop", "daemon restart"])
def test_a_command_with_another_run_directory_is_told_where_the_services_are(
    stack: Stack, command: str
) -> None:
    refused = own_run_directory(stack.home).run("cli", *command.split())
    assert refused.returncode == CONFLICT
    assert f"set BANGER_RUN_DIR={stack.paths.run}" in refused.stderr
    assert stack.pid("store")


def test_a_command_of_another_session_finds_the_services(stack: Stack) -> None:
    elsewhere = from_elsewhere(stack.home)
    shown = elsewhere.run("cli", "daemon", "status", "-q")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.split() == ["launcher", "broker", "store", "echo"]
    assert list((stack.home.root / "session").iterdir()) == []


def test_a_second_store_by_hand_gets_no_database_of_another(unstarted: Stack) -> None:
    """Not even with a state directory of its own."""
    url = f'database_url = "sqlite:///{unstarted.home.root}/shared.db"\n'
    unstarted.home.configure(url)
    unstarted.start("broker")
    unstarted.start("store")
    state, run = unstarted.home.root / "state2", unstarted.home.root / "run2"
    second = unstarted.home.run(
        "services.store", XDG_STATE_HOME=str(state), BANGER_RUN_DIR=str(run)
    )
    assert second.returncode == CONFLICT
    assert "shared.db.lock" in second.stderr


def test_commands_of_two_sessions_at_the_same_instant_start_one_stack(home: Home) -> None:
    home.configure("[dns]\nport = 0\n")
    sessions = [home.root / name for name in ("one", "two")]
    for each in sessions:
        each.mkdir()
    listings = [
        subprocess.Popen(
            home.argv("vm", "list", "-o", "json"),
            env=from_elsewhere(home, XDG_RUNTIME_DIR=str(session)).environment,
            stdout=subprocess.PIPE,
        )
        for session in sessions
    ]
    assert [listing.communicate(timeout=40)[0] for listing in listings] == [b"[]\n", b"[]\n"]
    used = [session for session in sessions if any(session.iterdir())]
    assert len(used) == 1
    assert holder(home.paths.lock("launcher"))
    assert from_elsewhere(home).run("cli", "daemon", "stop").returncode == 0
    assert not processes_of(used[0] / "banger")


# -- a run directory that vanishes ----------------------------------------------------------


def test_services_are_reachable_again_after_their_run_directory_vanished(stack: Stack) -> None:
    launcher, store = stack.processes[LAUNCHER].pid, stack.pid("store")
    shutil.rmtree(stack.paths.run)
    eventually(lambda: {LAUNCHER, "store", "echo"} <= stack.registered().keys())
    assert stack.call("echo", "echo.say", text="again")["text"] == "again"
    assert (stack.processes[LAUNCHER].pid, stack.pid("store")) == (launcher, store)
    assert stack.paths.run.stat().st_mode & 0o777 == 0o700


def test_services_end_when_their_run_directory_cannot_be_made_again(stack: Stack) -> None:
    """As after a log-out, when /run/user/UID is root's to make."""
    shutil.rmtree(stack.paths.run)
    stack.paths.run.write_text("")
    assert stack.processes[LAUNCHER].wait(20) == 0
    eventually(lambda: not stack.home.processes())
    assert "no run directory any more" in stack.paths.log_file(LAUNCHER).read_text()
    stack.paths.run.unlink()


def test_daemon_stop_ends_services_whose_run_directory_vanished(stack: Stack) -> None:
    launcher = stack.processes[LAUNCHER]
    os.kill(launcher.pid, signal.SIGSTOP)  # it does not make the directory again before the stop
    shutil.rmtree(stack.paths.run)
    stop = subprocess.Popen(
        stack.home.argv("daemon", "stop"), env=stack.home.environment, stderr=subprocess.PIPE
    )
    os.kill(launcher.pid, signal.SIGCONT)
    _, said = stop.communicate(timeout=30)
    assert (stop.returncode, said) == (0, b"The services are stopped.\n")
    assert launcher.wait(10) == 0
    eventually(lambda: not stack.home.processes())


# -- VMs ------------------------------------------------------------------------------------


@pytest.fixture
def guests() -> Iterator[Guests]:
    with new_guests() as alone:
        yield alone


def test_vms_go_on_when_the_run_directory_vanishes(guests: Guests) -> None:
    guests.create("web")
    vmm, supervisor = guests.show("web")["pid"], guests.supervisor("web")
    shutil.rmtree(guests.home.paths.run)
    eventually(lambda: guests.state("web") == "running" and guests.show("web")["access"])
    assert guests.show("web")["pid"] == vmm
    eventually(lambda: guests.supervisor("web") == supervisor)
    kill(guests.stack.pid("api"))  # the next one finds the supervisor by its lock
    eventually(lambda: guests.state("web") == "running")
    assert guests.call("vm.stop", ref="web")["vm"]["state"] == "stopped"
    assert "Power down" in Path(guests.show("web")["console_log"]).read_text()
    guests.delete_all()


def test_a_vm_whose_services_are_stopped_is_not_lost_to_another_session(guests: Guests) -> None:
    """Its supervisor is a member, too: the services come back where it is."""
    guests.create("web")
    vmm, supervisor = guests.show("web")["pid"], guests.supervisor("web")
    guests.stack.stop()
    assert own_run_directory(guests.home).run("services.launcher").returncode == CONFLICT
    elsewhere = from_elsewhere(guests.home)
    listed = elsewhere.run("cli", "vm", "list", "-o", "json")
    (web,) = json.loads(listed.stdout)
    assert (web["state"], web["pid"]) == ("running", vmm)
    eventually(lambda: guests.supervisor("web") == supervisor)
    assert elsewhere.run("cli", "vm", "delete", "web").returncode == 0
    assert elsewhere.run("cli", "daemon", "stop").returncode == 0
