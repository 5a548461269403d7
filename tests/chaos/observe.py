"""All sources of truth, read without asking any service but ``vm list`` and dns."""

import json
import socket
import sqlite3
import struct
import subprocess
from pathlib import Path

from shared.errors import BangerError
from shared.host.locks import holder
from shared.paths import Paths
from shared.vm import files
from shared.vm.handle import read_handle
from shared.vm.publish_saved import PREFIX
from shared.vm.saved import read_saved
from tests.chaos.core import HALF, MEMORY, SERVICES, Handle, Kind, Listed, Observed, Process, Row
from tests.home import Home

ANSWER_SECONDS = 5.0
LIST_SECONDS = 75.0
"""A list may have to start the services first, and wait for what they are busy with."""


def observe(home: Home, dns_port: int, names: set[str]) -> Observed:
    """Everything at one moment; what cannot be read is a complaint. ``names`` are asked of dns
    beside those of the rows."""
    complaints: list[str] = []
    listed = _listed(home, complaints)
    rows = _rows(home.paths, complaints)
    wanted = sorted(names | {row.name for row in rows})
    return Observed(
        rows=rows,
        listed=listed,
        processes=processes(home),
        handles=handles(home.paths),
        directories=directories(home.paths),
        saved=saved(home.paths, complaints),
        names={name: resolve(dns_port, f"{name}.vm", complaints) for name in wanted},
        complaints=tuple(complaints),
    )


def _rows(paths: Paths, complaints: list[str]) -> tuple[Row, ...]:
    try:
        connection = sqlite3.connect(f"file:{paths.database}?mode=ro", uri=True, timeout=5)
        try:
            found = connection.execute("SELECT id, name, state, address FROM vm").fetchall()
        finally:
            connection.close()
    except sqlite3.Error as error:
        complaints.append(f"the database cannot be read: {error}")
        return ()
    return tuple(Row(*row) for row in found)


def _listed(home: Home, complaints: list[str]) -> tuple[Listed, ...]:
    try:
        done = home.banger("vm", "list", "-o", "json", check=False, timeout=LIST_SECONDS)
    except subprocess.TimeoutExpired:
        complaints.append(f"vm list: no end within {LIST_SECONDS:.0f} s")
        return ()
    if done.returncode != 0:
        complaints.append(f"vm list: {done.stderr.strip()}")
        return ()
    vms = json.loads(done.stdout)
    return tuple(Listed(vm["id"], vm["name"], vm["state"], vm["pid"]) for vm in vms)


def handles(paths: Paths) -> dict[str, Handle]:
    found: dict[str, Handle] = {}
    for directory in _children(paths.run / "vms"):
        handle = read_handle(directory)
        if handle:
            found[directory.name] = Handle(handle.pid, handle.alive)
    return found


def directories(paths: Paths) -> frozenset[str]:
    """The VMs that have files."""
    roots = (paths.run / "vms", paths.state / "vms")
    return frozenset(child.name for root in roots for child in _children(root))


def saved(paths: Paths, complaints: list[str]) -> dict[str, frozenset[str]]:
    """What of saves is in the directories of VMs; a snapshot that is not whole is a complaint."""
    return {each.name: _saved(each, complaints) for each in _children(paths.state / "vms")}


def _saved(vm: Path, complaints: list[str]) -> frozenset[str]:
    found = set()
    if (vm / files.SUSPENDED).exists():
        found.add(MEMORY)
    places = (vm, vm / files.SNAPSHOTS, vm / files.FORKS)
    if any(each.name.startswith(PREFIX) for place in places for each in _children(place)):
        found.add(HALF)
    for snapshot in _children(vm / files.SNAPSHOTS):
        if snapshot.name.startswith(PREFIX):
            continue
        try:
            read_saved(snapshot, check=False)
        except BangerError as error:
            complaints.append(f"a snapshot is not whole: {error.message}")
    return frozenset(found)


def _children(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except FileNotFoundError:
        return []


def processes(home: Home) -> tuple[Process, ...]:
    """Every process of the home and what it is."""
    locks = {holder(d / files.LOCK): d.name for d in _children(home.paths.state / "vms")}
    return tuple(_classify(pid, line, locks) for pid, line in home.processes().items())


def _classify(pid: int, line: str, locks: dict[int | None, str]) -> Process:
    kind: Kind = "other"
    vm = _vm_in(line)
    words = line.split()
    module = next((word for word in words if word.startswith("services.")), "")
    service = module.removeprefix("services.")
    if service == "vm_supervisor":
        return Process(pid, "supervisor" if pid in locks else "spare", locks.get(pid, ""))
    if service in SERVICES:
        kind = service  # type: ignore[assignment]
    elif ("qemu-system" in line or "scripted.qemu" in line) and vm:
        kind = "vmm"
    elif "[mux]" in line or "ControlMaster=yes" in line:  # ssh's own title, or not yet
        kind = "master"
    return Process(pid, kind, vm, line[:120])


def _vm_in(line: str) -> str:
    _, found, tail = line.partition("/vms/")
    return tail[:12] if found else ""


def resolve(port: int, name: str, complaints: list[str]) -> str | None:
    """The A record of ``name`` (RFC 1035), None when there is no such name."""
    query = struct.pack(">6H", 0x6267, 0, 1, 0, 0, 0)
    query += b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    query += b"\0" + struct.pack(">2H", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.settimeout(ANSWER_SECONDS)
        try:
            channel.connect(("127.0.0.1", port))
            channel.send(query)
            answer = channel.recv(512)
        except OSError as error:
            complaints.append(f"dns does not answer: {error}")
            return None
    count = struct.unpack_from(">H", answer, 6)[0]
    # One answer with a compressed name: its last four bytes are not the message's (EDNS, NS), so
    # the record is read from behind the question.
    return socket.inet_ntoa(_first_address(answer, len(query))) if count else None


def _first_address(answer: bytes, offset: int) -> bytes:
    while answer[offset] and answer[offset] < 0xC0:
        offset += answer[offset] + 1
    offset += 2 if answer[offset] else 1
    length = struct.unpack_from(">H", answer, offset + 8)[0]
    return answer[offset + 10 : offset + 10 + length]
