"""``banger image list`` and ``show``: what of an image is printed, and what only in JSON."""

import json
from collections.abc import Callable
from typing import Any

from tests.unit.cli.commands.test_library import LIBRARY
from tests.unit.cli.conftest import Cli
from tests.unit.cli.peer import Peer

Begin = Callable[..., Peer]


def test_the_listing_has_all_names_and_what_is_occupied(cli: Cli, peer: Begin) -> None:
    child: dict[str, Any] = {"names": ["py", "py:1.2"], "real_bytes": 3 << 20, "base": "2" * 16}
    peer({"image.list": lambda _: {"images": [LIBRARY["image"] | child], **EMPTY}})
    (line,) = cli("image", "list").out.splitlines()[1:]
    assert line.split()[1:3] == ["py,", "py:1.2"]
    assert "3M" in line


EMPTY: dict[str, Any] = {"available": [], "broken": []}


def test_an_image_is_shown_with_what_its_author_says_of_it(cli: Cli, peer: Begin) -> None:
    config = {"cmd": ["a b", "\x1b[2J"], "env": {"PATH": "/bin"}, "exposed": ["80/tcp"]}
    config = {**NO_CONFIG, **config}
    peer({"image.show": lambda _: LIBRARY["image"] | {"config": config, "users": ["web"]}})
    shown = cli("image", "show", "deb").out
    assert "cmd      'a b' '\ufffd[2J'\n" in shown
    assert "env      PATH=/bin\n" in shown
    assert "used by  web\n" in shown
    assert "entrypoint" not in shown
    assert json.loads(cli("image", "show", "deb", "-o", "json").out)["config"] == config


NO_CONFIG: dict[str, Any] = {
    "entrypoint": [],
    "cmd": [],
    "env": {},
    "workdir": "",
    "user": "",
    "exposed": [],
    "volumes": [],
    "labels": {},
    "stop_signal": "",
}
