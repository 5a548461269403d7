"""``banger vm commit``."""

from collections.abc import Callable

from shared.errors import Code
from tests.unit.cli.commands.test_library import LIBRARY
from tests.unit.cli.conftest import Cli
from tests.unit.cli.peer import Peer, refuse

Begin = Callable[..., Peer]


def test_the_image_is_printed_as_others_are(cli: Cli, peer: Begin) -> None:
    services = peer({"vm.commit": lambda _: LIBRARY["image"]})
    assert cli("vm", "commit", "web", "ready", "--work-seed", "-q").out == "1" * 16 + "\n"
    assert services.calls == [
        ("vm.commit", {"ref": "web", "name": "ready", "work_seed": True}),
    ]


def test_a_vm_that_runs_is_refused(cli: Cli, peer: Begin) -> None:
    peer({"vm.commit": refuse(Code.CONFLICT, "web is running")})
    assert cli("vm", "commit", "web", "ready").status == 4
