"""Which scenarios there are: functions that a decorator has put into groups."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shared.contract.messages.vm import NetworkMode

if TYPE_CHECKING:
    from scripts.smoke.case import Case

Play = Callable[["Case"], None]


class UnknownScenario(Exception):
    """A name that no scenario has; the message offers the nearest."""


@dataclass(frozen=True)
class Group:
    """Scenarios played one after another on one stack of services.

    ``network``: the mode they need, None when they are for both. ``own_library``: they make and
    delete images. ``config``: lines that their configuration begins with, keys dotted.
    """

    name: str
    network: NetworkMode | None = None
    own_library: bool = False
    config: str = ""


@dataclass(frozen=True)
class Scenario:
    """One story: ``play`` raises when it does not come out as it should."""

    name: str
    group: Group
    summary: str
    play: Play


@dataclass
class Registry:
    """Scenarios by name, in the order of their registration."""

    scenarios: dict[str, Scenario] = field(default_factory=dict)

    def add(self, group: Group, play: Play, prefix: str = "") -> None:
        """Register ``play`` under its own name, with dashes; its docstring is the summary.

        Raises:
            ValueError: two of one name, or one that does not say what it proves.
        """
        name = prefix + play.__name__.replace("_", "-")
        if name in self.scenarios:
            raise ValueError(f"there are two scenarios {name}")
        if not play.__doc__:
            raise ValueError(f"scenario {name} has no docstring")
        summary = " ".join(play.__doc__.split())
        self.scenarios[name] = Scenario(name, group, summary, play)

    def select(self, names: str | None) -> list[Scenario]:
        """Those of a comma-separated list of scenarios and groups, in registered order; all
        without one.

        Raises:
            UnknownScenario: for a name that is neither.
        """
        if names is None:
            return list(self.scenarios.values())
        wanted = {name.strip() for name in names.split(",") if name.strip()}
        groups = {scenario.group.name for scenario in self.scenarios.values()}
        for name in sorted(wanted - groups - set(self.scenarios)):
            near = difflib.get_close_matches(name, [*self.scenarios, *groups], 1)
            advice = f"; did you mean {near[0]}?" if near else ""
            raise UnknownScenario(f"there is no scenario {name!r}{advice}")
        return [s for s in self.scenarios.values() if {s.name, s.group.name} & wanted]


REGISTRY = Registry()


def scenario(group: Group) -> Callable[[Play], Play]:
    """Decorator: the function is a scenario of ``group``."""

    def register(play: Play) -> Play:
        REGISTRY.add(group, play)
        return play

    return register


def grouped(scenarios: list[Scenario]) -> dict[Group, list[Scenario]]:
    """By group, in the order in which each first comes."""
    found: dict[Group, list[Scenario]] = {}
    for each in scenarios:
        found.setdefault(each.group, []).append(each)
    return found
