"""The guest's tables of sockets, read through a scripted agent again and again."""

import base64
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.guest.listeners import MOST_PORTS, Listeners
from services.vm_supervisor.guest.sockets import ListeningPort
from shared.contract.messages.vm import Protocol
from shared.errors import BangerError, Code
from tests.unit.services.vm_supervisor.guest.scripted_agent import answering, soon, with_agent

LISTEN, CLOSE, ESTABLISHED = "0A", "07", "01"
"""States: of a TCP socket that listens, of a UDP socket, of a connection."""


def row(port: int, address: str = "00000000", state: str = LISTEN) -> bytes:
    rest = "00000000:00000000 00:00000000 00000000     0        0 1 1"
    return f"   0: {address}:{port:04X} {'0' * len(address)}:0000 {state} {rest}\n".encode()


def refusal(desc: str) -> dict[str, Any]:
    return {"error": {"class": "GenericError", "desc": desc}}


@dataclass
class Guest:
    """Its files, and the agent that opens them. A file that is not there cannot be opened."""

    files: dict[str, bytes] = field(default_factory=dict)
    open: dict[int, str] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)
    given: int = 0
    """The last handle. The agent gives none twice, over restarts as well."""

    def restart_agent(self) -> None:
        self.open.clear()

    def answer(self, request: dict[str, Any]) -> dict[str, Any] | None:
        arguments = request.get("arguments", {})
        handle = arguments.get("handle")
        match request["execute"]:
            case "guest-file-open":
                return self._open(arguments["path"])
            case "guest-file-seek" | "guest-file-read" if handle not in self.open:
                return refusal(f"Handle '{handle}' has not been found")
            case "guest-file-seek":
                return {"return": {"position": 0, "eof": False}}
            case "guest-file-read":
                return {"return": self.read(self.files[self.open[handle]])}
        return {"return": {}}

    def read(self, content: bytes) -> object:
        piece = base64.b64encode(content).decode()
        return {"count": len(content), "buf-b64": piece, "eof": True}

    def _open(self, path: str) -> dict[str, Any]:
        if path not in self.files:
            return refusal(f"failed to open file '{path}' (mode: 'r'): No such file or directory")
        self.given += 1
        self.open[self.given] = path
        self.opened.append(path)
        return {"return": self.given}


class LyingGuest(Guest):
    """Its agent opens every file, and answers with ``lie`` when it is asked for a piece of one."""

    def __init__(self, lie: object) -> None:
        super().__init__({"/proc/net/tcp": b""})
        self.lie = lie

    def read(self, content: bytes) -> object:
        return self.lie


def tables(*, tcp: bytes = b"", udp: bytes = b"") -> dict[str, bytes]:
    """Of a guest without IPv6."""
    return {"/proc/net/tcp": tcp, "/proc/net/udp": udp}


def ports(socket: Path, guest: Guest, *protocols: Protocol) -> list[ListeningPort]:
    async def use(agent: Agent) -> list[ListeningPort]:
        return await Listeners(agent, *protocols).ports(soon())

    found: list[ListeningPort] = with_agent(socket, answering(guest.answer), use)
    return found


def test_ports_of_all_tables_are_sorted_and_none_is_repeated(tmp_path: Path) -> None:
    guest = Guest(
        {
            "/proc/net/tcp": row(8080) + row(22) + row(8080),
            "/proc/net/tcp6": row(80, "0" * 32) + row(22, "0000000000000000FFFF000000000000"),
            "/proc/net/udp": row(53, "0100007F", CLOSE),
            "/proc/net/udp6": b"",
        }
    )
    assert ports(tmp_path / "a", guest, "tcp", "udp") == [
        ListeningPort("tcp", 22, "0.0.0.0"),
        ListeningPort("tcp", 80, "::"),
        ListeningPort("tcp", 8080, "0.0.0.0"),
        ListeningPort("udp", 53, "127.0.0.1"),
    ]


def test_only_tables_of_the_protocols_that_were_named_are_opened(tmp_path: Path) -> None:
    guest = Guest(tables(tcp=row(22), udp=row(53, state=CLOSE)))
    assert ports(tmp_path / "a", guest, "tcp") == [ListeningPort("tcp", 22, "0.0.0.0")]
    assert guest.opened == ["/proc/net/tcp"]


def test_connection_is_no_listener(tmp_path: Path) -> None:
    guest = Guest(tables(tcp=row(22, state=ESTABLISHED), udp=row(53, state=ESTABLISHED)))
    assert ports(tmp_path / "a", guest, "tcp", "udp") == []


def test_guest_without_any_table_listens_nowhere(tmp_path: Path) -> None:
    assert ports(tmp_path / "a", Guest(), "tcp", "udp") == []


def test_table_is_opened_once_and_read_anew_at_each_look(tmp_path: Path) -> None:
    guest = Guest(tables())

    async def use(agent: Agent) -> None:
        listeners = Listeners(agent, "tcp", "udp")
        for port in (80, 81, 82):
            guest.files["/proc/net/tcp"] = row(port)
            assert await listeners.ports(soon()) == [ListeningPort("tcp", port, "0.0.0.0")]

    with_agent(tmp_path / "a", answering(guest.answer), use)
    assert sorted(guest.opened) == ["/proc/net/tcp", "/proc/net/udp"]


def test_table_that_appears_later_is_found(tmp_path: Path) -> None:
    guest = Guest()

    async def use(agent: Agent) -> None:
        listeners = Listeners(agent, "tcp")
        assert await listeners.ports(soon()) == []
        guest.files["/proc/net/tcp6"] = row(80, "0" * 32)
        assert await listeners.ports(soon()) == [ListeningPort("tcp", 80, "::")]

    with_agent(tmp_path / "a", answering(guest.answer), use)


def test_tables_are_opened_again_when_the_agent_was_restarted(tmp_path: Path) -> None:
    guest = Guest(tables(tcp=row(22)))

    async def use(agent: Agent) -> None:
        listeners = Listeners(agent, "tcp")
        before = await listeners.ports(soon())
        guest.restart_agent()
        assert await listeners.ports(soon()) == before != []

    with_agent(tmp_path / "a", answering(guest.answer), use)
    assert guest.opened == ["/proc/net/tcp"] * 2


def test_table_that_is_gone_after_a_restart_of_the_agent_is_empty(tmp_path: Path) -> None:
    guest = Guest(tables(tcp=row(22)))

    async def use(agent: Agent) -> None:
        listeners = Listeners(agent, "tcp")
        await listeners.ports(soon())
        guest.restart_agent()
        guest.files.clear()
        assert await listeners.ports(soon()) == []

    with_agent(tmp_path / "a", answering(guest.answer), use)


def test_deadline_that_has_passed_is_a_timeout_and_the_next_look_succeeds(tmp_path: Path) -> None:
    guest = Guest(tables(tcp=row(22)))

    async def use(agent: Agent) -> None:
        listeners = Listeners(agent, "tcp")
        with pytest.raises(BangerError) as caught:
            await listeners.ports(time.monotonic())
        assert caught.value.code is Code.TIMEOUT
        assert await listeners.ports(soon()) == [ListeningPort("tcp", 22, "0.0.0.0")]

    with_agent(tmp_path / "a", answering(guest.answer), use)


@pytest.mark.parametrize(
    "lie",
    [
        7,
        None,
        [],
        {},
        "text",
        {"eof": "yes"},
        {"eof": True, "buf-b64": 7},
        {"eof": True, "buf-b64": None},
        {"eof": True, "buf-b64": "no base64!"},
        {"eof": True, "buf-b64": "\ud800"},
    ],
    ids=repr,
)
def test_lie_of_the_agent_is_a_failed_guest(tmp_path: Path, lie: object) -> None:
    guest = LyingGuest(lie)
    with pytest.raises(BangerError) as caught:
        ports(tmp_path / "a", guest, "tcp")
    assert caught.value.code is Code.GUEST_FAILED


def test_agent_that_always_lies_is_asked_to_open_a_table_once_a_look(tmp_path: Path) -> None:
    guest = LyingGuest(None)

    async def use(agent: Agent) -> None:
        listeners = Listeners(agent, "tcp")
        for _ in range(3):
            with pytest.raises(BangerError):
                await listeners.ports(soon())

    with_agent(tmp_path / "a", answering(guest.answer), use)
    assert guest.opened == ["/proc/net/tcp"] * 3


@pytest.mark.parametrize("handle", [None, "5", 5.5, [5], {"handle": 5}], ids=repr)
def test_handle_of_another_type_is_a_failed_guest(tmp_path: Path, handle: object) -> None:
    def answer(request: dict[str, Any]) -> dict[str, Any]:
        return {"return": handle if request["execute"] == "guest-file-open" else {}}

    async def use(agent: Agent) -> None:
        with pytest.raises(BangerError) as caught:
            await Listeners(agent, "tcp").ports(soon())
        assert caught.value.code is Code.GUEST_FAILED

    with_agent(tmp_path / "a", answering(answer), use)


@pytest.mark.parametrize(
    "table",
    [
        b"\xff\xfe" * 1000,
        b"\0" * 1000,
        "日本語: 00000000:0016".encode(),
        row(0),
        row(22)[:40],
        row(22, "0" * 31),
        row(22, "0000000G"),
        row(22).replace(b"0016", b"10016"),
        row(22).replace(b"   0: ", b"   -1: "),
    ],
    ids=lambda table: repr(table[:30]),
)
def test_row_that_the_kernel_would_not_write_is_skipped(tmp_path: Path, table: bytes) -> None:
    guest = Guest(tables(tcp=table + b"\n" + row(80)))
    assert ports(tmp_path / "a", guest, "tcp") == [ListeningPort("tcp", 80, "0.0.0.0")]


def test_long_line_does_not_hide_the_rows_after_it(tmp_path: Path) -> None:
    guest = Guest(tables(tcp=b"0" * 200_000 + b"\n" + row(80)))
    assert ports(tmp_path / "a", guest, "tcp") == [ListeningPort("tcp", 80, "0.0.0.0")]


def test_guest_that_repeats_a_port_without_end_has_it_once(tmp_path: Path) -> None:
    guest = Guest(tables(tcp=row(80) * 1_500))
    assert ports(tmp_path / "a", guest, "tcp") == [ListeningPort("tcp", 80, "0.0.0.0")]


@settings(max_examples=30)
@given(st.binary(max_size=400), st.lists(st.integers(1, 65535), max_size=8))
def test_whatever_the_tables_hold_their_listening_ports_are_found(
    noise: bytes, wanted: list[int]
) -> None:
    table = b"".join(row(port) for port in wanted) + noise
    with TemporaryDirectory(prefix="bgr") as directory:
        found = ports(Path(directory) / "a", Guest(tables(tcp=table)), "tcp")
    assert found == sorted(set(found))
    assert set(wanted) <= {port.port for port in found}


def test_no_more_ports_are_read_than_there_may_be(tmp_path: Path) -> None:
    many = b"".join(row(port) for port in range(1000, 1000 + MOST_PORTS + 100))
    more = b"".join(row(port, "0" * 32) for port in range(5000, 5100))
    datagrams = b"".join(row(port, state=CLOSE) for port in range(1, MOST_PORTS + 100))
    guest = Guest(
        {"/proc/net/tcp": many, "/proc/net/tcp6": more, "/proc/net/udp": row(53, state=CLOSE)}
    )
    found = ports(tmp_path / "a", guest, "tcp", "udp")
    assert len(found) == MOST_PORTS + 1
    assert found[-1] == ListeningPort("udp", 53, "0.0.0.0")
    guest.files["/proc/net/udp"] = datagrams
    assert len(ports(tmp_path / "b", guest, "udp")) == MOST_PORTS
