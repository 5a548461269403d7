"""Print the rooms of the source and the imports between them: the figures of docs/architecture.md.

A house is one program: ``cli``, each service, ``shared``. Its rooms are its folders and the modules
beside them. An arrow says that some module of one room imports a module of another. A room stands
one floor above the highest room that it imports, so a circle of arrows has no floors.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
HOUSES = (
    "cli",
    *(f"services/{name}" for name in ("api", "broker", "dns", "images", "launcher", "nat")),
    *("services/store", "services/vm_supervisor", "services/workspaces", "shared"),
)

Arrows = dict[str, set[str]]
"""Room -> the rooms that it imports. Every room is a key."""


class House(NamedTuple):
    """One program: its arrows, and the floor of each room (1 is the ground)."""

    name: str
    arrows: Arrows
    floors: dict[str, int]

    @property
    def number_of_arrows(self) -> int:
        return sum(map(len, self.arrows.values()))


def modules(house: str, root: Path = ROOT) -> dict[str, Path]:
    """Dotted name -> file of every module of a house."""
    return {
        ".".join(path.relative_to(root).with_suffix("").parts): path
        for path in sorted((root / house).rglob("*.py"))
        if path.name != "__init__.py"
    }


def imports(path: Path) -> Iterator[str]:
    """Dotted names of what a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def survey(house: str, root: Path = ROOT) -> House:
    """Read the imports of one house.

    Raises:
        ValueError: rooms that import each other in a circle, named.
    """
    known = modules(house, root)
    depth = len(Path(house).parts)
    room = {name: name.split(".")[depth] for name in known}
    arrows: Arrows = {each: set() for each in room.values()}
    for name, path in known.items():
        for target in set(imports(path)) & known.keys():
            if room[target] != room[name]:
                arrows[room[name]].add(room[target])
    return House(house, arrows, _floors(house, arrows))


def _floors(house: str, arrows: Arrows) -> dict[str, int]:
    floors: dict[str, int] = {}
    while len(floors) < len(arrows):
        ready = [room for room in arrows if room not in floors and arrows[room] <= floors.keys()]
        if not ready:
            circle = sorted(arrows.keys() - floors.keys())
            raise ValueError(f"{house}: a circle among {', '.join(circle)}")
        floors |= {
            room: 1 + max((floors[below] for below in arrows[room]), default=0) for room in ready
        }
    return floors


def main() -> None:
    for name in HOUSES:
        house = survey(name)
        print(f"{name}: {house.number_of_arrows} arrows, {max(house.floors.values())} floors")
        if "-v" in sys.argv:
            for room in sorted(house.arrows, key=lambda each: (-house.floors[each], each)):
                below = ", ".join(sorted(house.arrows[room]))
                print(f"  {house.floors[room]}  {room}" + (f" -> {below}" if below else ""))


if __name__ == "__main__":
    main()
