"""``banger vm snapshot delete``."""

import json
from collections.abc import Callable

import pytest

from shared.errors import Code
from tests.unit.cli.conftest import Cli
from tests.unit.cli.peer import Body, Peer, refuse

Begin = Callable[..., Peer]


def delete(body: Body) -> Body:
    return {
        "vm_id": "0123456789ab",
        "vm_name": "web",
        "deleted": body["names"],
        "real_bytes": 3 << 20,
    }


@pytest.mark.parametrize("words", [["web", "a", "b"], ["web/a", "b"]])
def test_all_are_asked_for_at_once(cli: Cli, peer: Begin, words: list[str]) -> None:
    services = peer({"snapshot.delete": delete})
    ran = cli("vm", "snapshot", "rm", *words)
    assert (ran.status, ran.out, ran.err) == (0, "a\nb\n", "3M freed\n")
    assert services.calls == [("snapshot.delete", {"ref": "web", "names": ["a", "b"]})]


def test_the_forms_of_output(cli: Cli, peer: Begin) -> None:
    peer({"snapshot.delete": delete})
    assert cli("vm", "snapshot", "delete", "web", "a", "-q").out == "web/a\n"
    done = json.loads(cli("vm", "snapshot", "delete", "web", "a", "-o", "json").out)
    assert done == delete({"names": ["a"]})


def test_one_that_is_not_there_keeps_the_others(cli: Cli, peer: Begin) -> None:
    peer({"snapshot.delete": refuse(Code.NOT_FOUND, "web has no snapshot 'b'")})
    ran = cli("vm", "snapshot", "delete", "web", "a", "b")
    assert (ran.status, ran.out) == (3, "")


def test_none_at_all_is_a_usage_error(cli: Cli) -> None:
    ran = cli("vm", "snapshot", "delete", "web")
    assert ran.status == 2
    assert "banger vm snapshot list web" in ran.err
    assert not cli.run_dir.exists()
