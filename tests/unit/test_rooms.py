"""The rooms of the source: no circle, few arrows, no folder too full, no class name twice."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

from scripts.rooms import HOUSES, ROOT, modules, survey

MOST_MODULES = 14
MOST_ARROWS = {
    "cli": 11,
    # What it does without being asked has a room of its own. Both that and verbs make VMs, of
    # images and of templates; images take their templates with them. How idle machines are is asked
    # of them unasked.
    "services/api": 24,
    "services/broker": 5,
    "services/dns": 14,  # server and forward share the rule of who makes room for whom
    # The rooms of OCI, of workers, of each group of verbs, of builds (what they read, what they do
    # in a guest, and how they take it out), and of the archives and files of users.
    "services/images": 34,
    "services/launcher": 2,
    "services/nat": 11,
    "services/store": 7,
    # What is saved are disks too: lifecycle asks for them. A guest is connected before it goes on.
    "services/vm_supervisor": 30,
    "services/workspaces": 16,  # what was placed is read by what sends and by the jobs
    # The way to the stack of a state is where paths are, and it is found by a lock; ssh, which
    # services and the command line share, needs five. The configuration checks file_sync's paths.
    # Workers, which workspaces and images share, need three. A saved machine is read and refused.
    # The configuration has a size, written as sizes are.
    "shared": 33,
}
"""Arrows between the rooms of each house. A change that needs one more says why here."""
MOST_FLOORS = 8


@pytest.mark.parametrize("name", HOUSES)
def test_rooms_import_each_other_in_one_direction_and_seldom(name: str) -> None:
    house = survey(name)
    assert house.number_of_arrows <= MOST_ARROWS[name]
    assert max(house.floors.values()) <= MOST_FLOORS


def test_a_circle_of_rooms_is_named(tmp_path: Path) -> None:
    for room, other in (("one", "two"), ("two", "one")):
        (tmp_path / "house" / room).mkdir(parents=True)
        (tmp_path / "house" / room / "module.py").write_text(f"import house.{other}.module\n")
    with pytest.raises(ValueError, match="a circle among one, two"):
        survey("house", tmp_path)


def test_a_folder_holds_few_enough_modules_to_be_read_at_a_glance() -> None:
    folders = defaultdict(list)
    for house in HOUSES:
        for path in modules(house).values():
            folders[path.parent.relative_to(ROOT)].append(path.name)
    full = {
        str(folder): len(names) for folder, names in folders.items() if len(names) > MOST_MODULES
    }
    assert full == {}


def test_a_class_name_has_one_meaning() -> None:
    places = defaultdict(list)
    for house in HOUSES:
        for name, path in modules(house).items():
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.ClassDef):
                    places[node.name].append(name)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
