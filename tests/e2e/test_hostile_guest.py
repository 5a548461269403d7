"""A guest whose root is an attacker: whatever it does, its host is as before.

The tests of a network mode share both VMs and come one after another: what the attacker has done
stays. tests/e2e/hostile.pl is its program. ``make test`` does user mode, ``make hostile`` both.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.vm import files
from tests.e2e.arena import EVIL, METADATA, PUBLIC, VICTIM, Arena, made_arena, obeyed
from tests.waiting import eventually

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(180),
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]

MODES = os.environ.get("BANGER_HOSTILE_MODES", "user").split(",")
ANSWER_SECONDS = 10.0
"""What a command about or in a VM may take while another VM attacks, on two busy cores."""
GROWTH_MIB = 48
"""What a process of ours may have held more than before, at its worst moment."""
LOG_BYTES = 9 << 20
"""The last 8 MiB of a console, and what has not been punched out yet."""
REASON_LENGTH = 1000
FORWARDS = 512
"""256 of TCP and 256 of UDP."""


@pytest.fixture(scope="module", params=MODES)
def arena(images: None, request: pytest.FixtureRequest) -> Iterator[Arena]:
    with made_arena(request.param) as made:
        yield made


@pytest.fixture(autouse=True)
def unhurt(arena: Arena) -> Iterator[None]:
    """After each attack: the same processes, not much larger, and a second VM that answers."""
    yield
    answer = arena.bounded("vm", "exec", VICTIM, "--", "echo", "here", seconds=ANSWER_SECONDS)
    assert answer.stdout == "here\n", answer.stderr
    now = arena.burdens()
    assert arena.before.keys() - now.keys() <= {f"supervisor of {EVIL}"}, "it ends with its VM"
    for name, burden in now.items():
        assert burden.pid == arena.before[name].pid, f"{name} has been replaced"
        assert burden.peak_mib < arena.before[name].peak_mib + GROWTH_MIB, name


def test_a_thousand_sockets_of_each_kind_get_a_bounded_number_of_ports(arena: Arena) -> None:
    assert arena.act("sockets") == "done"
    if arena.mode == "user":
        eventually(lambda: arena.show(EVIL)["ports"], patience=60)
    arena.bounded("vm", "ports", EVIL, seconds=3 * ANSWER_SECONDS)
    assert len(arena.show(EVIL)["ports"]) <= FORWARDS


def test_what_a_guest_calls_itself_is_plain_text_on_a_terminal(arena: Arena) -> None:
    assert arena.act("names") == "done"
    for verb in ("health", "stats", "show"):
        assert obeyed(arena.on_a_terminal("vm", verb, EVIL)) == set(), verb


def test_a_console_without_end_takes_a_bounded_place(arena: Arena) -> None:
    """What took a guest a minute to write is put there; it goes on from that."""
    log = arena.home.paths.vm_state(arena.ids[EVIL]) / files.CONSOLE_LOG
    with log.open("ab") as file:
        file.write(b"\x1b]52;c;ZXZpbA==\x07\xff" * (1 << 20))
    assert arena.act("console", "512") == "done"
    eventually(lambda: arena.kept_bytes(EVIL)[files.CONSOLE_LOG] <= LOG_BYTES, patience=20)
    assert obeyed(arena.on_a_terminal("vm", "logs", EVIL)) == set()


def test_floods_of_the_network_leave_the_host_to_others(arena: Arena) -> None:
    devices = ("eth0", "eth1") if arena.mode == "user" else ("eth0",)
    assert arena.act("network", "4", arena.gateway, *devices) == "done"
    end = time.monotonic() + 3
    while time.monotonic() < end:
        arena.bounded("vm", "exec", VICTIM, "--", "true", seconds=ANSWER_SECONDS)
        arena.bounded("vm", "stats", EVIL, seconds=ANSWER_SECONDS)


def test_a_guest_with_nat_reaches_the_outside_and_no_metadata(arena: Arena) -> None:
    targets = [f"{address}:80" for address in (PUBLIC, *METADATA)]
    assert arena.act("reach", *targets).split() == [f"{PUBLIC}:80"]


def test_a_guest_reaches_neither_the_host_nor_another_guest(arena: Arena) -> None:
    victim = arena.show(VICTIM)["address"]
    # 10.0.2.2 and 10.0.3.2 are the host's loopback to QEMU's two user-mode networks.
    places = {
        "bridge": ["10.77.0.1", victim, "198.51.100.1"],
        "user": ["10.0.2.2", "10.0.3.2"],
    }
    targets = [f"{place}:{port}" for place in places[arena.mode] for port in (22, 42069)]
    # The resolver of the bridge is for guests.
    allowed = {"10.77.0.1:42069"} if arena.mode == "bridge" else set()
    assert set(arena.act("reach", *targets).split()) <= allowed


def test_an_agent_that_lies_costs_time_that_is_bounded(arena: Arena) -> None:
    assert arena.act("replace", "each") == "done"
    for verb in ("health", "stats", "ports") * 2:
        done = arena.bounded("vm", verb, EVIL, seconds=ANSWER_SECONDS)
        assert obeyed(done.stdout + done.stderr) == set(), verb
    for mode in ("endless", "mute"):
        write = f"echo {mode} >/run/mode"
        arena.bounded("vm", "exec", EVIL, "--", "sh", "-c", write, seconds=ANSWER_SECONDS)
        arena.bounded("vm", "health", EVIL, seconds=ANSWER_SECONDS)


def test_a_copy_from_a_guest_that_lies_stays_in_its_place(arena: Arena, tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "place" / "inside"
    outside.mkdir()
    inside.mkdir(parents=True)
    assert arena.act("archives", str(outside)) == "done"
    copied = arena.bounded("vm", "cp", f"{EVIL}:/root/thing", str(inside), seconds=ANSWER_SECONDS)
    assert obeyed(copied.stderr) == set()
    assert list(outside.iterdir()) == []
    assert [path.name for path in inside.parent.iterdir()] == ["inside"]
    for path in inside.rglob("*"):
        assert path.is_symlink() or path.is_file() or path.is_dir(), path
        assert path.lstat().st_mode & 0o6000 == 0, path
        assert not (path.is_file() and path.lstat().st_nlink > 1), path


def test_last_words_of_48_kb_become_one_short_line(arena: Arena) -> None:
    with arena.home.start("vm", "exec", EVIL, "--", "perl", "/root/hostile.pl", "panic") as client:
        eventually(lambda: arena.show(EVIL)["state"] == "failed", patience=60, every=0.5)
        client.kill()
    reason = arena.show(EVIL)["reason"]
    assert "Kernel panic" in reason
    assert len(reason) <= REASON_LENGTH
    assert obeyed(reason) == set()
    views = (("vm", "list"), ("vm", "show", EVIL), ("vm", "logs", EVIL, "--supervisor"))
    for view in (*views, ("daemon", "logs", "api"), ("daemon", "logs", "store")):
        assert obeyed(arena.on_a_terminal(*view)) == set(), view
    kept = arena.kept_bytes(EVIL)
    assert sum(kept.values()) <= 2 * LOG_BYTES, kept
