"""``banger version``."""

from shared.version import __version__
from tests.unit.cli.conftest import Cli


def test_both_ways_to_ask_print_the_same(cli: Cli) -> None:
    assert cli("version").out == cli("--version").out == f"banger {__version__}\n"
