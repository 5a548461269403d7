"""``vm cp``: which side is in a VM."""

import pytest

from cli.commands.vm.session.copy import split
from tests.unit.cli.conftest import Cli


@pytest.mark.parametrize(
    ("place", "meant"),
    [
        ("web:/etc/hosts", ("web", "/etc/hosts")),
        ("web:", ("web", "")),
        ("web:a:b", ("web", "a:b")),
        ("./a:b", None),
        ("/tmp/a:b", None),
        ("a", None),
        (":a", None),
    ],
)
def test_what_has_a_colon_before_any_slash_is_in_a_vm(
    place: str, meant: tuple[str, str] | None
) -> None:
    assert split(place) == meant


@pytest.mark.parametrize(
    "words",
    [
        ["a", "b"],
        ["a"],
        ["", "web:"],
        ["web:a", ""],
        ["web:", "."],
        ["web:a", "b", "c"],
        ["-", "a", "web:"],
        ["--glob", "a", "web:"],
    ],
)
def test_words_that_mean_no_copy_are_refused_before_a_service_is_asked(
    cli: Cli, words: list[str]
) -> None:
    assert cli("vm", "cp", *words).status == 2
    assert not cli.run_dir.exists()
