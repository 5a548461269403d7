"""What a command costs on the bus: every request of every process, counted by the broker."""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.integration.counting_broker import NAME
from tests.integration.guests import PROCFILE, SIZES, Guests, new_guests
from tests.waiting import eventually

MODULE = "tests.integration.counting_broker"
WHOLE_TABLE = ("store vm.list", "store vm.snapshot")


@pytest.fixture(scope="module")
def shared_guests() -> Iterator[Guests]:
    with new_guests(procfile=PROCFILE.replace("services.broker", MODULE)) as guests:
        yield guests


def requests(guests: Guests) -> list[str]:
    return (guests.home.paths.run / NAME).read_text().splitlines()


def cost(guests: Guests, *command: str) -> list[str]:
    """The requests that a command and what it set off have made."""
    quiet(guests)
    before = len(requests(guests))
    status, _, err = guests.banger(*command)
    assert status == 0, err
    quiet(guests)
    return requests(guests)[before:]


def quiet(guests: Guests) -> None:
    """Return when nothing is asked any more."""
    counts = [-1]

    def still() -> bool:
        counts.append(len(requests(guests)))
        return counts[-1] == counts[-2]

    eventually(still, every=0.3)


def test_run_rm_asks_at_most_twelve_times_and_reads_no_whole_table(guests: Guests) -> None:
    asked = cost(guests, "vm", "run", "--rm", *SIZES, "--", "true")
    assert len(asked) <= 12, "\n".join(asked)
    assert not {*WHOLE_TABLE} & {*asked}
    assert Counter(asked)["store vm.update"] == 1, "the VM runs; all else is reserved or removed"


def test_stop_asks_at_most_five_times(guests: Guests) -> None:
    guests.create("web")
    asked = cost(guests, "vm", "stop", "web")
    assert len(asked) <= 5, asked
    assert not {*WHOLE_TABLE} & {*asked}
    guests.call("vm.delete", ref="web")


def test_exec_reads_one_row_and_is_no_event(guests: Guests) -> None:
    guests.create("web")
    with guests.peer() as peer:
        before = peer.call("store", "vm.snapshot")["seq"]
    asked = cost(guests, "vm", "exec", "web", "--", "true")
    with guests.peer() as peer:
        assert peer.call("store", "vm.snapshot")["seq"] == before
    assert len(asked) <= 4, asked
    assert not {*WHOLE_TABLE} & {*asked}
    guests.call("vm.delete", ref="web")
