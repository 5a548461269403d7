"""The arithmetic of the coverage report."""

from pathlib import Path

import pytest

from scripts.smoke.packages import (
    Tally,
    by_package,
    package_of,
    silent_programs,
    table,
    total,
)

SMOKE = {
    Path("cli/main.py"): Tally(10, 5),
    Path("cli/root.py"): Tally(30, 25),
    Path("cli/__init__.py"): Tally(0, 0),
    Path("services/__init__.py"): Tally(0, 0),
    Path("services/api/names.py"): Tally(60, 60),
}
TESTS = {
    Path("cli/main.py"): Tally(10, 10),
    Path("cli/root.py"): Tally(30, 26),
    Path("services/api/names.py"): Tally(60, 15),
}


@pytest.mark.parametrize(
    ("path", "package"),
    [
        ("cli/main.py", "cli"),
        ("services/api/names.py", "services.api"),
        ("services/vm_supervisor/drivers/qemu.py", "services.vm_supervisor.drivers"),
        ("services/store/migrations/versions/rev_1.py", "services.store.migrations"),
    ],
)
def test_a_file_belongs_to_the_package_of_its_directory(path: str, package: str) -> None:
    assert package_of(Path(path)) == package


def test_files_are_summed_by_package_and_empty_packages_left_out() -> None:
    assert by_package(SMOKE) == {"cli": Tally(40, 30), "services.api": Tally(60, 60)}
    assert total(by_package(SMOKE).values()) == Tally(100, 90)


def test_percentages_are_of_lines_not_of_files() -> None:
    assert Tally(40, 30).percent == 75.0
    assert Tally(0, 0).percent == 100.0


def test_the_table_has_the_difference_in_percentage_points() -> None:
    rows = [line.split() for line in table(SMOKE, TESTS).splitlines()[1:]]
    assert rows == [
        ["cli", "40", "75.0", "90.0", "-15.0"],
        ["services.api", "60", "100.0", "25.0", "+75.0"],
        ["all", "100", "90.0", "51.0", "+39.0"],
    ]


def test_a_package_the_tests_never_touched_has_none_of_it_run() -> None:
    tests = {path: tally for path, tally in TESTS.items() if path.parts[0] == "cli"}
    rows = [line.split() for line in table(SMOKE, tests).splitlines()[1:]]
    assert rows[1] == ["services.api", "60", "100.0", "0.0", "+100.0"]


def test_without_the_tests_data_smoke_stands_alone() -> None:
    head, first, *_ = table(SMOKE, None).splitlines()
    assert head.split() == ["package", "lines", "smoke", "%"]
    assert first.split() == ["cli", "40", "75.0"]


def test_a_program_without_a_line_that_ran_is_told() -> None:
    files = {
        Path("cli/__main__.py"): Tally(5, 0),
        Path("cli/root.py"): Tally(5, 1),
        Path("services/nat/__main__.py"): Tally(5, 0),
        Path("services/nat/rules.py"): Tally(5, 0),
        Path("shared/paths.py"): Tally(5, 0),
    }
    assert silent_programs(files) == ["services.nat"]
