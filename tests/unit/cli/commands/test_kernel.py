"""``banger kernel pull``; what else there is, is in test_library.py."""

from collections.abc import Callable

from tests.unit.cli.commands.test_library import LIBRARY
from tests.unit.cli.conftest import Cli
from tests.unit.cli.peer import Peer

Begin = Callable[..., Peer]


def test_a_kernel_is_pulled_again_when_that_is_demanded(cli: Cli, peer: Begin) -> None:
    services = peer({"kernel.pull": lambda _: LIBRARY["kernel"]})
    assert cli("kernel", "pull", "debian-bookworm", "--force").status == 0
    assert services.calls == [("kernel.pull", {"name": "debian-bookworm", "force": True})]


def test_a_directory_is_imported_by_its_absolute_path(cli: Cli, peer: Begin) -> None:
    services = peer({"kernel.import": lambda _: LIBRARY["kernel"]})
    (cli.root / "linux").mkdir()
    assert cli("kernel", "import", "linux", "--name", "mine", "-o", "name").status == 0
    assert services.calls[0][1] == {"directory": f"{cli.root}/linux", "name": "mine"}
    assert cli("kernel", "import", "nothing").status == 2
