"""Every command of ``banger image`` can be called, and says how."""

import pytest

from cli.commands.image.group import COMMANDS
from tests.unit.cli.conftest import Cli


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_has_an_example(cli: Cli, name: str) -> None:
    ran = cli("image", name, "--help")
    assert ran.status == 0
    assert f"banger image {name} " in ran.out
