"""Which VMs nobody uses: times handed in, sessions counted from a real socket table."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from services.api.idle import open_sessions, stale
from shared.messages.vm import State, Vm
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


SOCKETS = """Num       RefCount Protocol Flags    Type St Inode Path
0000: 00000002 00000000 00010000 0001 01 100 /run/banger/vms/aa/ssh.sock.Xy12
0000: 00000003 00000000 00000000 0001 03 101 /run/banger/vms/aa/ssh.sock.Xy12
0000: 00000003 00000000 00000000 0001 03 102
0000: 00000003 00000000 00000000 0001 03 103 /run/banger/vms/bb/ssh.sock
"""


def test_sessions_are_the_accepted_ends_of_the_control_socket() -> None:
    assert open_sessions(SOCKETS, Path("/run/banger/vms/aa/ssh.sock")) == 1
    assert open_sessions(SOCKETS, Path("/run/banger/vms/cc/ssh.sock")) == 0
