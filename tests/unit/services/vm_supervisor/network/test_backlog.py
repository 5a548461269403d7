"""A longer queue for the listening sockets of another process."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from services.vm_supervisor.network.backlog import ListenBacklog
from shared.host.process import ProcessId, start_time
from tests.burst import BURST, made_at_once
from tests.loopback import OWN_ADDRESS

SERVER = """
import socket, sys
kept = []
for line in sys.stdin:
    one = socket.create_server((sys.argv[1], 0), backlog=1)
    kept.append(one)
    print(one.getsockname()[1], flush=True)
"""


@pytest.fixture
def server() -> Iterator["subprocess.Popen[str]"]:
    """Listens at one more port for every line, with a queue of one, and accepts nothing."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, OWN_ADDRESS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        assert process.stdin
        process.stdin.close()


def listen(server: "subprocess.Popen[str]") -> int:
    assert server.stdin
    assert server.stdout
    server.stdin.write("\n")
    server.stdin.flush()
    return int(server.stdout.readline())


def identity(server: "subprocess.Popen[str]") -> ProcessId:
    born = start_time(server.pid)
    assert born is not None
    return ProcessId(server.pid, born)


def test_burst_finds_room_at_every_port_that_a_process_listens_on(
    server: "subprocess.Popen[str]",
) -> None:
    backlog = ListenBacklog(identity(server))
    before, after = listen(server), listen(server)
    assert made_at_once(OWN_ADDRESS, before) < BURST // 10
    backlog.deepen()
    assert made_at_once(OWN_ADDRESS, after) == BURST
    later = listen(server)
    backlog.deepen()
    assert made_at_once(OWN_ADDRESS, later) == BURST
    assert backlog.obstacle == ""


def test_process_that_is_gone_is_an_obstacle_and_no_error(server: "subprocess.Popen[str]") -> None:
    gone = ListenBacklog(ProcessId(2**22 + 1, 1))
    gone.deepen()
    assert "No such file" in gone.obstacle


def test_another_process_with_the_same_pid_is_left_alone(server: "subprocess.Popen[str]") -> None:
    port = listen(server)
    ListenBacklog(ProcessId(server.pid, 1)).deepen()
    assert made_at_once(OWN_ADDRESS, port) < BURST // 10


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_refusal_is_told(server: "subprocess.Popen[str]") -> None:
    listen(server)
    process = identity(server)
    program = (
        "import os, sys; from services.vm_supervisor.network.backlog import ListenBacklog;"
        "from shared.host.process import ProcessId;"
        "b = ListenBacklog(ProcessId(int(sys.argv[1]), int(sys.argv[2])));"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534); b.deepen();"
        "print(b.obstacle)"
    )
    argv = [sys.executable, "-c", program, str(process.pid), str(process.start_time)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert "Permission denied" in done.stdout
