"""``vm stats``: samples, and the rate between two of them."""

import json
import os
import pty
import termios
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from msgspec import convert

from cli.commands.vm.inspect.stats import show_rate
from shared.contract.messages.vm import VmStats
from shared.errors import Code
from tests.unit.cli.conftest import Cli, resolving, view
from tests.unit.cli.peer import Peer, refuse

Begin = Callable[..., Peer]
AT_ONCE = "import cli.commands.vm.inspect.stats as stats; stats.WATCH_SECONDS = 0"
WEB = view("web")
LISTING = {"vms": [WEB, view("db", "ba9876543210", state="stopped")]}


def stats(at: float = 0.0, cpu: float | None = 0.0, **fields: Any) -> dict[str, Any]:
    known = {
        "id": "0123456789ab",
        "name": "web",
        "state": "running",
        "at": at,
        "vcpu": 2,
        "memory_bytes": 2 << 30,
        "disk_apparent": 16 << 30,
        "disk_allocated": 3 << 20,
        "cpu_seconds": cpu,
        "resident_bytes": 700 << 20,
        "guest_memory_bytes": 300 << 20,
        "unique_memory_bytes": 40 << 20,
        "saved_bytes": 0,
        "uptime": 61.0,
        "received_bytes": 2048,
        "sent_bytes": None,
    }
    return known | fields


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        (stats(10.0, 1.0), stats(10.5, 1.25), "50%"),
        (stats(10.0, 1.0), stats(11.0, 3.0), "200%"),
        (stats(10.0, 1.0), stats(10.0, 1.0), "-"),
        (stats(10.0, 9.0), stats(11.0, 0.5), "-"),  # started again in between
        (stats(10.0, 1.0), stats(11.0, None), "-"),
        (None, stats(11.0, 1.0), "-"),
    ],
)
def test_a_rate_is_the_difference_of_two_samples(
    before: dict[str, Any] | None, after: dict[str, Any], shown: str
) -> None:
    first = convert(before, VmStats) if before else None
    assert show_rate(first, convert(after, VmStats)) == shown


def test_a_table_takes_two_samples_of_all_that_run(cli: Cli, peer: Begin) -> None:
    samples = iter([stats(10.0, 1.0), stats(11.0, 1.5)])
    services = peer({"vm.list": lambda _: LISTING, "vm.stats": lambda _: next(samples)})
    ran = cli("vm", "stats")
    assert ran.out.splitlines()[1].split() == (
        "web running 50% 300M / 2G 40M 3M / 16G - 2K - 1m".split()
    )
    assert [body for verb, body in services.calls if verb == "vm.stats"] == [
        {"ref": "id=0123456789ab"},
        {"ref": "id=0123456789ab"},
    ]


def test_json_is_one_sample_with_the_raw_numbers(cli: Cli, peer: Begin) -> None:
    services = peer({"vm.list": lambda _: LISTING, "vm.stats": lambda _: stats(10.0, 1.0)})
    assert json.loads(cli("vm", "stats", "web", "-o", "json").out) == [stats(10.0, 1.0)]
    assert services.verbs().count("vm.stats") == 1


def test_watched_without_a_terminal_each_sample_is_a_line_of_json(cli: Cli, peer: Begin) -> None:
    moments = count(10.0, 2.0)  # without an end: the command asks on until the test has ended it
    peer({"vm.list": lambda _: LISTING, "vm.stats": lambda _: stats(next(moments))})
    process = cli.popen("vm", "stats", "--watch", stdout=-1, prelude=AT_ONCE)
    assert process.stdout
    assert [json.loads(process.stdout.readline())["at"] for _ in range(2)] == [10.0, 12.0]


def test_watched_on_a_terminal_it_is_drawn_over_and_cut_to_its_size(cli: Cli, peer: Begin) -> None:
    many = {"vms": [view(f"web-{number}", f"{number:012}") for number in range(9)]}
    peer(
        {
            "vm.list": lambda _: many,
            "vm.stats": lambda body: stats(id=body["ref"].removeprefix("id=")),
        }
    )
    cli.env["NO_COLOR"] = "1"
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (5, 30))
    process = cli.popen("vm", "stats", "--watch", stdin=theirs, stdout=theirs, prelude=AT_ONCE)
    os.close(theirs)
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        shown = b""
        while b"\x1b[4A\x1b[J" not in shown:
            shown += terminal.read(4096)
        process.kill()
    first = shown.partition(b"\x1b")[0].decode().splitlines()
    assert len(first) == 4
    assert max(map(len, first)) == 30


@pytest.mark.parametrize("args", [["-q"], ["-o", "name"]])
def test_there_is_nothing_to_watch_in_names(cli: Cli, args: list[str]) -> None:
    assert cli("vm", "stats", "--watch", *args).status == 2
    assert not cli.run_dir.exists()


def test_what_cannot_be_sampled_is_told_and_the_status_says_so(cli: Cli, peer: Begin) -> None:
    peer({"vm.resolve": resolving(WEB), "vm.stats": refuse(Code.BUSY, "later")})
    ran = cli("vm", "stats", "web", "nope", "-o", "json")
    assert (ran.status, ran.out) == (6, "[]\n")
    assert [json.loads(line)["error"]["code"] for line in ran.err.splitlines()] == [
        "busy",
        "not_found",
    ]
