"""``banger image pull``, ``register``, ``promote``, ``tag``: what is asked for."""

from collections.abc import Callable

import pytest

from shared.errors import Code
from tests.unit.cli.commands.test_library import LIBRARY
from tests.unit.cli.conftest import Cli
from tests.unit.cli.peer import Peer, refuse

Begin = Callable[..., Peer]


def test_a_reference_is_left_to_the_service_and_paths_are_made_absolute(
    cli: Cli, peer: Begin
) -> None:
    services = peer({"image.pull": lambda _: LIBRARY["image"]})
    assert cli("image", "pull", "alpine:3.20", "-q").out == "1" * 16 + "\n"
    auth = {"REGISTRY_AUTH_FILE": "auth.json"}
    assert cli("image", "pull", "oci:dir:latest", "--insecure", "--name", "x", env=auth).status == 0
    first, second = (body for _, body in services.calls)
    assert first == {
        "source": "alpine:3.20",
        "name": "",
        "force": False,
        "insecure": False,
        "auth_file": "",
    }
    assert second["source"] == f"oci:{cli.root}/dir:latest"
    assert (second["insecure"], second["name"]) == (True, "x")
    assert second["auth_file"] == f"{cli.root}/auth.json"


def test_bytes_are_told_while_they_come(cli: Cli, peer: Begin) -> None:
    def pull(_body: object) -> dict[str, object]:
        services.progress("pull", "3.1 MiB of 12 MiB")
        return LIBRARY["image"]

    services = peer({"image.pull": pull})
    assert cli("image", "pull", "alpine").err == "pull: 3.1 MiB of 12 MiB\n"


def test_a_file_is_registered_by_its_absolute_path(cli: Cli, peer: Begin) -> None:
    services = peer({"image.register": lambda _: LIBRARY["image"]})
    (cli.root / "disk.tar").touch()
    (cli.root / "home").mkdir()
    words = ["--rootfs", "disk.tar", "--work-seed", "home", "--kernel", "mine"]
    assert cli("image", "register", "disk", *words).status == 0
    assert services.calls[0][1] == {
        "name": "disk",
        "rootfs": f"{cli.root}/disk.tar",
        "kernel": "mine",
        "work_seed": f"{cli.root}/home",
        "force": False,
    }


@pytest.mark.parametrize("words", [["x"], ["x", "--rootfs", "nothing"], ["x", "--rootfs", "."]])
def test_a_root_filesystem_is_a_file_that_is_there(cli: Cli, words: list[str]) -> None:
    assert cli("image", "register", *words).status == 2
    assert not cli.run_dir.exists()


def test_a_name_that_is_taken_is_refused(cli: Cli, peer: Begin) -> None:
    services = peer({"image.tag": refuse(Code.CONFLICT, "base is the name of another image")})
    assert cli("image", "tag", "alpine:3.20", "base").status == 4
    assert services.calls == [("image.tag", {"ref": "alpine:3.20", "name": "base", "force": False})]


def test_a_registered_image_is_copied(cli: Cli, peer: Begin) -> None:
    services = peer({"image.promote": lambda _: LIBRARY["image"]})
    assert cli("image", "promote", "disk", "-o", "name").out == "debian-bookworm\n"
    assert services.calls == [("image.promote", {"ref": "disk"})]
