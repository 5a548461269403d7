"""What is no contradiction, and that every kind of one is seen."""

from dataclasses import replace

import pytest

from tests.chaos.core import (
    SERVICES,
    Guest,
    Handle,
    Listed,
    Observed,
    Process,
    Row,
    continuity,
    contradictions,
)

VM = "0123456789ab"
UP = Row(VM, "web", "running", "127.77.0.2")
LISTED = Listed(VM, "web", "running", 70)
VMM = Process(70, "vmm", VM)
SUPERVISOR = Process(60, "supervisor", VM)
CORE = tuple(Process(number, name) for number, name in enumerate(SERVICES, 10))  # type: ignore[arg-type]
WELL = Observed(
    rows=(UP,),
    listed=(LISTED,),
    processes=(*CORE, Process(50, "spare"), SUPERVISOR, VMM, Process(71, "master", VM)),
    handles={VM: Handle(70, alive=True)},
    directories=frozenset({VM}),
    names={"web": "127.77.0.2", "gone": None},
)
DOWN = Observed(
    rows=(replace(UP, state="stopped"),),
    listed=(replace(LISTED, state="stopped", pid=None),),
    processes=CORE,
    directories=frozenset({VM}),
    names={"web": None},
)
EMPTY = Observed(processes=CORE)
ASIDE = replace(
    DOWN,
    rows=(replace(UP, state="suspended"),),
    listed=(replace(LISTED, state="suspended", pid=None),),
    saved={VM: frozenset({"memory", "half"})},
)


@pytest.mark.parametrize("seen", [WELL, DOWN, EMPTY, ASIDE])
def test_a_settled_system_has_no_contradiction(seen: Observed) -> None:
    assert contradictions(seen) == []


def without(*gone: Process) -> Observed:
    return replace(WELL, processes=tuple(p for p in WELL.processes if p not in gone))


def beside(seen: Observed, *more: Process) -> Observed:
    return replace(seen, processes=(*seen.processes, *more))


@pytest.mark.parametrize(
    ("seen", "says"),
    [
        (without(CORE[2]), "0 processes of store"),
        (beside(WELL, Process(99, "api")), "2 processes of api"),
        (beside(WELL, Process(99, "spare")), "2 spare supervisors"),
        (beside(WELL, Process(99, "other", line="sleep 9")), "process 99 is of no use: sleep 9"),
        (beside(WELL, Process(99, "vmm", VM)), "web is running and has vmm [70, 99]"),
        (beside(WELL, Process(99, "supervisor", VM)), "has supervisor [60, 99]"),
        (without(VMM), "web is running and has vmm []"),
        (without(SUPERVISOR), "web is running and has supervisor []"),
        (beside(DOWN, VMM), "web is stopped, but has vmm 70"),
        (beside(DOWN, SUPERVISOR), "web is stopped, but has supervisor 60"),
        (beside(DOWN, Process(99, "master", VM)), "web is stopped, but has master 99"),
        (beside(EMPTY, VMM), f"vmm 70 of {VM}, a VM that does not exist"),
        (replace(EMPTY, directories=frozenset({VM})), f"files of {VM}, a VM that does not"),
        (replace(WELL, handles={}), "web: handle None"),
        (replace(WELL, handles={VM: Handle(70, alive=False)}), "web: handle"),
        (replace(WELL, handles={VM: Handle(71, alive=True)}), "web: handle"),
        (replace(WELL, listed=()), "vm list says None"),
        (replace(WELL, listed=(replace(LISTED, state="stopped"),)), "'stopped')"),
        (replace(WELL, listed=(replace(LISTED, pid=1),)), "web: vm list says pid [1]"),
        (replace(WELL, rows=(replace(UP, state="starting"),)), "web is starting still"),
        (replace(WELL, names={"web": None}), "dns answers None for web"),
        (replace(WELL, names={"gone": "127.77.0.9"}), "dns answers 127.77.0.9 for gone"),
        (replace(DOWN, names={"web": "127.77.0.2"}), "dns answers 127.77.0.2 for web"),
        (replace(WELL, saved={VM: frozenset({"half"})}), "web is running and has half of a save"),
        (replace(WELL, saved={VM: frozenset({"memory"})}), "web is running and has memory"),
        (replace(ASIDE, saved={}), "web is suspended, and on disk there is []"),
        (
            replace(DOWN, saved=ASIDE.saved),
            "web is stopped, and on disk there is ['half', 'memory']",
        ),
        (beside(ASIDE, VMM), "web is suspended, but has vmm 70"),
        (replace(WELL, complaints=("vm list: timeout",)), "vm list: timeout"),
    ],
)
def test_a_contradiction_is_told(seen: Observed, says: str) -> None:
    found = contradictions(seen)
    assert any(says in words for words in found), found


BEFORE = Guest(pid=70, boot_id="a", synced=10, lines=11)
LATER = Guest(pid=70, boot_id="a", synced=12, lines=12)


def test_a_guest_that_went_on_has_lost_nothing() -> None:
    assert continuity("web", BEFORE, LATER, same_boot=True) == []


@pytest.mark.parametrize(
    ("now", "says"),
    [
        (replace(LATER, pid=71), "its VMM was 70 and is 71"),
        (replace(LATER, boot_id="b"), "it was booted again"),
        (replace(LATER, synced=9), "its counter went from 10 back to 9"),
        (replace(LATER, lines=9), "10 lines were synced, 9 are there"),
    ],
)
def test_a_guest_that_lost_something_is_told(now: Guest, says: str) -> None:
    assert any(says in words for words in continuity("web", BEFORE, now, same_boot=True))


def test_a_guest_that_was_put_aside_is_the_same_boot_in_another_vmm() -> None:
    later = replace(LATER, pid=99)
    assert continuity("web", BEFORE, later, same_boot=True, moved=True) == []
    other = replace(later, boot_id="b")
    assert continuity("web", BEFORE, other, same_boot=True, moved=True) != []


def test_a_guest_that_was_brought_back_may_have_fewer_lines() -> None:
    back = replace(LATER, synced=5, lines=5)
    assert continuity("web", BEFORE, back, same_boot=True, rewound=True) == []


def test_a_guest_that_was_ended_may_be_another_boot_but_has_its_synced_lines() -> None:
    again = Guest(pid=99, boot_id="b", synced=0, lines=10)
    assert continuity("web", BEFORE, again, same_boot=False) == []
    assert continuity("web", BEFORE, replace(again, lines=9), same_boot=False) != []
