"""``banger image build``; what else there is, is in test_library.py."""

from collections.abc import Callable

from tests.unit.cli.commands.test_library import LIBRARY
from tests.unit.cli.conftest import Cli
from tests.unit.cli.peer import Peer

Begin = Callable[..., Peer]


def test_packages_are_added_to_an_image_of_its_own_name(cli: Cli, peer: Begin) -> None:
    services = peer({"image.build": lambda _: LIBRARY["image"]})
    words = ["--include", "git,vim", "--include", "curl", "--name", "py"]
    assert cli("image", "build", "debian-bookworm", *words, "-q").out == "1" * 16 + "\n"
    assert services.calls[0][1] == {
        "name": "debian-bookworm",
        "force": False,
        "as_name": "py",
        "include": ["git", "vim", "curl"],
    }
