"""Figures and pairs; nothing is measured."""

from benchmarks.harness.measure import Figure, heading, line, medians, paired


def figure(bar: float | None = None, limit: float | None = None) -> Figure:
    return Figure("start", "s", 3.0, 2.0, "a peer", 7, bar, limit)


def test_ratio_is_against_the_reference() -> None:
    assert figure().ratio == 1.5


def test_bar_is_held_against_the_ratio_and_limit_against_what_was_measured() -> None:
    assert figure().met
    assert figure(bar=1.5, limit=3.0).met
    assert not figure(bar=1.4, limit=3.0).met
    assert not figure(bar=1.5, limit=2.9).met


def test_pairs_are_taken_in_turn_after_what_comes_before_them() -> None:
    calls: list[str] = []
    paired(
        lambda: calls.append("one"),
        lambda: calls.append("other"),
        runs=2,
        warm_up=1,
        before=lambda: calls.append("before"),
    )
    assert calls == ["before", "one", "other"] * 3


def test_medians_are_those_of_each_side() -> None:
    assert medians([(1.0, 30.0), (9.0, 10.0), (2.0, 20.0)]) == (2.0, 20.0)


def test_lines_say_whether_a_bar_or_limit_is_met() -> None:
    assert " met " in line(figure(bar=1.5))
    assert "NOT MET" in line(figure(limit=1.0))
    assert "met" not in line(figure()).lower()


def test_columns_of_a_line_stand_below_their_headings() -> None:
    assert heading().index("against") == line(figure(bar=1.5)).index("a peer")
