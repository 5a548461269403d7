"""``banger completion``: a script for each shell."""

import pytest

from tests.unit.cli.conftest import Cli


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_calls_banger_for_what_to_offer(cli: Cli, shell: str) -> None:
    ran = cli("completion", shell)
    assert ran.status == 0
    assert f"_BANGER_COMPLETE={shell}_complete" in ran.out


def test_another_shell_is_refused(cli: Cli) -> None:
    assert cli("completion", "csh").status == 2
