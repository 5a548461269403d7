"""Which VMs nobody uses: times handed in, sessions counted from a real socket table."""

import socket
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from services.api.policy.idle import established, has_master, open_sessions, sessions, stale
from shared.contract.messages.vm import State, Vm
from shared.contract.ssh_access import Access
from shared.host.locks import Lock
from shared.host.socket_table import UnixSocket, inet_sockets, read_table
from shared.vm import files
from shared.vm.handle import Handle, write_handle
from tests import loopback
from tests.example import example_vm

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def vm(id_: str, minutes_ago: int, state: State = "running", *, touched: bool = True) -> Vm:
    then = (NOW - timedelta(minutes=minutes_ago)).isoformat().replace("+00:00", "Z")
    return example_vm(
        id=id_,
        name=id_,
        state=state,
        image_name="i",
        created_at=then,
        touched_at=then if touched else "",
    )


def ids(vms: list[Vm], limit: float, sessions: dict[str, int] | None = None) -> list[str]:
    return [one.id for one in stale(vms, NOW, limit, sessions or {})]


def test_a_vm_is_stale_after_the_limit_and_not_before() -> None:
    assert ids([vm("old", 31), vm("new", 29)], 1800) == ["old"]


def test_zero_means_never() -> None:
    assert ids([vm("old", 10_000)], 0) == []


def test_only_running_vms_are_stopped() -> None:
    assert ids([vm("a", 60, "stopped"), vm("b", 60, "paused"), vm("c", 60, "starting")], 60) == []


def test_an_open_session_is_use() -> None:
    assert ids([vm("a", 60), vm("b", 60)], 60, {"a": 1, "b": 0}) == ["b"]


def test_a_vm_that_was_never_touched_counts_from_its_creation() -> None:
    assert ids([vm("a", 60, touched=False)], 60) == ["a"]


HOST = loopback.address(3)
SOCKETS = [
    UnixSocket(listening=True, inode=100, path="/run/banger/vms/aa/ssh.sock.Xy12"),
    UnixSocket(listening=False, inode=101, path="/run/banger/vms/aa/ssh.sock.Xy12"),
    UnixSocket(listening=False, inode=102, path=""),
    UnixSocket(listening=False, inode=103, path="/run/banger/vms/bb/ssh.sock"),
]


def test_sessions_are_the_accepted_ends_of_the_control_socket() -> None:
    assert open_sessions(SOCKETS, Path("/run/banger/vms/aa/ssh.sock")) == 1
    assert open_sessions(SOCKETS, Path("/run/banger/vms/cc/ssh.sock")) == 0


def test_master_is_there_when_its_control_socket_listens() -> None:
    assert has_master(SOCKETS, Path("/run/banger/vms/aa/ssh.sock"))
    assert not has_master(SOCKETS, Path("/run/banger/vms/bb/ssh.sock"))


def tcp() -> Counter[tuple[str, int]]:
    return established(inet_sockets(read_table(Path("/proc/net/tcp"))))


def test_connections_to_a_guest_are_counted_from_its_clients_side() -> None:
    with socket.create_server((HOST, 0)) as server:
        host, port = server.getsockname()
        assert tcp()[host, port] == 0
        with socket.create_connection((host, port)), socket.create_connection((host, port)):
            assert tcp()[host, port] == 2
            assert tcp()[loopback.address(4), port] == 0


def test_who_holds_the_console_is_in_the_vm(tmp_path: Path) -> None:
    assert sessions(tmp_path, SOCKETS, tcp()) == 0
    lock = Lock.try_acquire(tmp_path / files.CONSOLE_LOCK)
    assert lock
    assert sessions(tmp_path, SOCKETS, tcp()) == 1
    lock.release()


def test_connection_of_the_master_is_no_session(tmp_path: Path) -> None:
    master = [UnixSocket(listening=True, inode=100, path=f"{tmp_path}/ssh.sock")]
    with socket.create_server((HOST, 0)) as server:
        address = server.getsockname()
        write_handle(tmp_path, handle(*address))
        with socket.create_connection(address):
            assert sessions(tmp_path, master, tcp()) == 0
            with socket.create_connection(address):
                assert sessions(tmp_path, master, tcp()) == 1


def handle(host: str, port: int) -> Handle:
    access = Access(host=host, port=port, key="k", known_hosts="h", alias="a", control="c")
    return Handle(
        vm_id="a", host_boot="b", pid=1, start_time=1, vmm="qemu", accel="tcg", access=access
    )
