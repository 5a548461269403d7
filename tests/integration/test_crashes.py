"""Processes killed at the worst moment: what comes back, how soon, and what callers are told."""

import os
import queue
import signal
import threading
import time
from pathlib import Path

import pytest

from shared.bus import client as bus_client
from shared.bus.client import Client
from shared.bus.envelope import Kind
from shared.errors import BangerError, Code
from tests.home import Home
from tests.integration.echo_service import WAIT
from tests.integration.peer import Peer, Silence, error_of
from tests.stack import LAUNCHER, Stack
from tests.waiting import PATIENCE, eventually

CONNECT_SECONDS = 8.0
"""How long a client waits for a broker here, where processes start slower than at a user's."""


def kill(stack: Stack, service: str) -> int:
    """End a service by SIGKILL; returns the pid it had."""
    pid = stack.pid(service)
    os.kill(pid, signal.SIGKILL)
    return pid


def wait_for_all(stack: Stack) -> None:
    """Return when everybody has registered with the new broker."""
    everybody = {"launcher", "store", "echo"}
    eventually(lambda: everybody <= stack.registered().keys())


def answers(stack: Stack, service: str, old: int) -> bool:
    """Whether the service answers as a process other than ``old``."""
    try:
        with Peer(stack.paths.broker_socket, patience=0.5) as peer:
            return bool(peer.final(peer.ask(service, "", kind=Kind.PING))["pid"] != old)
    except (BangerError, Silence):
        return False


@pytest.mark.parametrize("service", ["store", "echo", "broker"])
def test_killed_service_answers_again(stack: Stack, service: str) -> None:
    old = kill(stack, service)
    eventually(lambda: answers(stack, service, old))
    wait_for_all(stack)  # a new broker learns of the others a moment after it answers itself
    assert stack.call("store", "vm.list") == {"next": "", "vms": [], "seq": 0}
    status = stack.call("launcher", "daemon.status")["services"]
    assert {each["name"]: each["restarts"] for each in status}[service] == 1


def test_everybody_registers_with_a_new_broker(stack: Stack) -> None:
    kill(stack, "broker")
    wait_for_all(stack)


def test_request_at_a_service_that_dies_is_unavailable_at_once(stack: Stack) -> None:
    with stack.peer() as peer:
        waiting = peer.ask("echo", "echo.wait", seconds=60)
        peer.receive()
        kill(stack, "echo")
        error = error_of(lambda: peer.final(waiting))
    assert error.code is Code.UNAVAILABLE
    assert "echo ended while it served echo.wait" in error.message


def test_request_at_a_service_that_is_stopped_may_be_asked_again(stack: Stack) -> None:
    with stack.peer() as peer:
        waiting = peer.ask("echo", "echo.wait", seconds=60)
        peer.receive()
        os.kill(stack.pid("echo"), signal.SIGTERM)
        error = error_of(lambda: peer.final(waiting))
    assert error.code is Code.UNAVAILABLE
    assert "echo was stopped while it served echo.wait" in error.message


def test_callers_see_the_broker_die(stack: Stack) -> None:
    with stack.peer() as peer:
        peer.ask("echo", "echo.wait", seconds=60)
        peer.receive()
        kill(stack, "broker")
        peer.wait_for_loss()
    wait_for_all(stack)


def in_a_thread(stack: Stack, *, retry: bool) -> "tuple[threading.Thread, queue.Queue[object]]":
    """A client that waits for ``echo.wait``; first its progress, then its outcome are queued."""
    heard: queue.Queue[object] = queue.Queue()

    def ask() -> None:
        with Client(stack.paths.broker_socket) as client:
            try:
                answer = client.ask(WAIT(), retry=retry, on_partial=heard.put)
            except BangerError as error:
                heard.put(error)
            else:
                heard.put(answer)

    thread = threading.Thread(target=ask)
    thread.start()
    for _partial in range(2):
        heard.get(timeout=PATIENCE)
    return thread, heard


def kill_the_broker_and_release(stack: Stack) -> None:
    """End what waits in the echo service by way of the next broker."""
    with stack.peer() as peer:
        kill(stack, "broker")
        peer.wait_for_loss()
    with stack.peer() as peer:
        eventually(lambda: is_there(peer, "echo"))
        peer.call("echo", "echo.release")


def test_request_that_may_be_repeated_survives_the_death_of_the_broker(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when it had been at work for longer than a client waits for a broker."""
    monkeypatch.setattr(bus_client, "CONNECT_SECONDS", CONNECT_SECONDS)
    began = time.monotonic()
    thread, heard = in_a_thread(stack, retry=True)
    eventually(lambda: time.monotonic() > began + CONNECT_SECONDS)
    kill_the_broker_and_release(stack)
    outcome = heard.get(timeout=PATIENCE)
    assert outcome == {"count": 1}  # the one verb went on and was not done twice
    thread.join()


def test_several_requests_at_once_survive_it_too(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_client, "CONNECT_SECONDS", CONNECT_SECONDS)
    began = time.monotonic()
    answers: queue.Queue[list[dict[str, int] | BangerError]] = queue.Queue()

    def ask() -> None:
        with Client(stack.paths.broker_socket) as client:
            answers.put(client.ask_all([WAIT(), WAIT()]))

    thread = threading.Thread(target=ask)
    thread.start()
    eventually(lambda: time.monotonic() > began + CONNECT_SECONDS)
    with stack.peer() as peer:
        assert peer.final(peer.ask("echo", "", kind=Kind.PING))["tasks"] == 2
    kill_the_broker_and_release(stack)
    assert answers.get(timeout=PATIENCE) == [{"count": 2}, {"count": 2}]
    thread.join()


def test_request_that_may_not_be_repeated_is_unavailable_and_says_where_to_look(
    stack: Stack,
) -> None:
    thread, heard = in_a_thread(stack, retry=False)
    with stack.peer() as peer:
        pid = peer.call("launcher", "daemon.status")["services"][0]["pid"]
        os.kill(pid, signal.SIGKILL)
        error = heard.get(timeout=PATIENCE)
    thread.join()
    wait_for_all(stack)
    assert isinstance(error, BangerError)
    assert error.code is Code.UNAVAILABLE
    assert "banger vm list" in error.hint


def is_there(peer: Peer, service: str) -> bool:
    try:
        peer.final(peer.ask(service, "", kind=Kind.PING))
    except BangerError:
        return False
    return True


# -- the launcher ---------------------------------------------------------------------------


def test_second_launcher_is_refused_and_disturbs_nobody(stack: Stack) -> None:
    before = stack.registered()
    second = stack.home.run("services.launcher", "--procfile", str(stack.home.root / "procfile"))
    assert second.returncode == 4
    assert second.stderr == (
        f"error: a launcher already serves {stack.paths.run}\nhint: banger daemon status shows it\n"
    )
    assert stack.registered() == before


def test_second_broker_is_refused_and_does_not_steal_the_socket(stack: Stack) -> None:
    second = stack.home.run("services.broker")
    assert second.returncode == 4
    assert "another broker serves" in second.stderr
    assert stack.call("echo", "echo.say", text="here")["text"] == "here"


def test_services_end_with_a_killed_launcher_and_a_new_one_works(stack: Stack) -> None:
    stack.kill(LAUNCHER)
    eventually(lambda: not stack.home.processes(), patience=5)
    stack.launch()
    assert stack.call("echo", "echo.say", text="again")["text"] == "again"


def test_daemon_stop_ends_the_services_and_the_launcher(stack: Stack) -> None:
    assert stack.call("launcher", "daemon.stop") == {}
    assert stack.processes[LAUNCHER].wait(10) == 0
    assert stack.home.processes() == {}


def test_service_that_cannot_start_is_given_up_and_the_others_serve(unstarted: Stack) -> None:
    path = unstarted.home.root / "procfile"
    path.write_text("broker: python -m services.broker\nnone: banger-no-such-program\n")
    argv = ("services.launcher", "--procfile", str(path))
    unstarted.begin(LAUNCHER, lambda: unstarted.home.spawn(*argv))

    def given_up() -> bool:
        services = unstarted.call("launcher", "daemon.status")["services"]
        return ("none", "failed") in [(each["name"], each["state"]) for each in services]

    eventually(given_up, patience=20)
    assert unstarted.pid("broker")


# -- a run directory that will not do -------------------------------------------------------


@pytest.mark.parametrize("service", ["services.broker", "services.launcher"])
def test_open_run_directory_is_refused_with_what_to_do(home: Home, service: str) -> None:
    home.paths.run.mkdir()
    home.paths.run.chmod(0o755)
    refused = home.run(service)
    assert refused.returncode == 1
    assert refused.stderr == (
        f"error: {home.paths.run} has mode 755: other users could reach the sockets in it\n"
        f"hint: chmod 700 {home.paths.run}\n"
    )


@pytest.mark.parametrize("service", ["services.broker", "services.launcher"])
def test_run_directory_too_long_for_sockets_is_refused(home: Home, service: str) -> None:
    long = home.root / ("r" * 80)
    refused = home.run(service, BANGER_RUN_DIR=str(long))
    assert refused.returncode == 2
    assert "is too long" in refused.stderr
    assert refused.stderr.endswith("hint: set BANGER_RUN_DIR to a path of at most 64 bytes\n")


def test_procfile_that_is_wrong_is_refused_with_its_line(home: Home) -> None:
    path = home.root / "procfile"
    path.write_text("broker python -m services.broker\n")
    refused = home.run("services.launcher", "--procfile", str(path))
    assert refused.returncode == 2
    assert "procfile, line 1" in refused.stderr


def test_bad_configuration_is_refused_with_its_file(home: Home) -> None:
    home.configure("colour = 1\n")
    home.paths.run.mkdir(mode=0o700)
    refused = home.run("services.store")
    assert refused.returncode == 2
    assert str(home.paths.config_file) in refused.stderr
    assert "Traceback" not in refused.stderr


def test_log_directory_has_a_file_for_each_service(stack: Stack) -> None:
    names = {path.name for path in Path(stack.paths.logs).glob("*.log")}
    assert {"broker.log", "store.log", "echo.log", "launcher.log"} <= names


def test_sleeping_service_is_slow_and_not_dead(stack: Stack) -> None:
    """ "Unresponsive" is not death: a stopped process is waited for, not replaced."""
    pid = stack.pid("store")
    with stack.peer() as peer:
        os.kill(pid, signal.SIGSTOP)
        try:
            late = peer.ask("store", "vm.list", seconds=10)
            assert (
                error_of(
                    lambda: peer.final(peer.ask("store", "", kind=Kind.PING, seconds=0.1))
                ).code
                is Code.TIMEOUT
            )
        finally:
            os.kill(pid, signal.SIGCONT)
        assert peer.final(late) == {"next": "", "vms": [], "seq": 0}
    assert stack.pid("store") == pid
