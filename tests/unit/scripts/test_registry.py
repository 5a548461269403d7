"""Which scenarios a run has."""

import pytest

from scripts.smoke import scenarios
from scripts.smoke.case import Case
from scripts.smoke.registry import REGISTRY, Group, Registry, UnknownScenario, grouped

ONE, TWO = Group("one"), Group("two", "bridge")


def first_story(case: Case) -> None:
    """The first
    story."""


def second_story(case: Case) -> None:
    """The second."""


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    registry.add(ONE, first_story)
    registry.add(TWO, second_story)
    registry.add(ONE, second_story, prefix="my-")
    return registry


def names(registry: Registry, words: str | None) -> list[str]:
    return [scenario.name for scenario in registry.select(words)]


def test_a_scenario_is_named_for_its_function_and_told_by_its_docstring(registry: Registry) -> None:
    first = registry.scenarios["first-story"]
    assert (first.summary, first.group, first.play) == ("The first story.", ONE, first_story)


def test_all_are_selected_without_a_list(registry: Registry) -> None:
    assert names(registry, None) == ["first-story", "second-story", "my-second-story"]


@pytest.mark.parametrize(
    ("words", "selected"),
    [
        ("second-story", ["second-story"]),
        ("second-story, first-story,", ["first-story", "second-story"]),
        ("one", ["first-story", "my-second-story"]),
        ("one,first-story", ["first-story", "my-second-story"]),
        ("", []),
    ],
)
def test_names_and_groups_are_selected_in_registered_order_and_once(
    registry: Registry, words: str, selected: list[str]
) -> None:
    assert names(registry, words) == selected


def test_an_unknown_name_is_refused_with_the_nearest(registry: Registry) -> None:
    with pytest.raises(UnknownScenario, match=r"'frist-story'; did you mean first-story\?"):
        registry.select("one,frist-story")


def test_two_of_one_name_are_refused(registry: Registry) -> None:
    with pytest.raises(ValueError, match="two scenarios first-story"):
        registry.add(TWO, first_story)


def test_a_scenario_says_what_it_proves(registry: Registry) -> None:
    def mute(case: Case) -> None:
        pass

    with pytest.raises(ValueError, match="mute has no docstring"):
        registry.add(ONE, mute)


def test_groups_keep_the_order_in_which_they_come(registry: Registry) -> None:
    found = grouped(registry.select(None))
    assert list(found) == [ONE, TWO]
    assert [scenario.name for scenario in found[ONE]] == ["first-story", "my-second-story"]


def test_every_module_of_scenarios_is_loaded() -> None:
    scenarios.load()
    modules = {each.play.__module__.rpartition(".")[2] for each in REGISTRY.scenarios.values()}
    assert modules == set(scenarios.MODULES) - {"user_network"}  # that one lends from the others
    assert any(name.startswith("user-") for name in REGISTRY.scenarios)
