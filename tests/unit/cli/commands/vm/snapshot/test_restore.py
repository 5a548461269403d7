"""``banger vm snapshot restore``: nothing is lost before somebody has agreed."""

import json
from collections.abc import Callable

import pytest

from shared.errors import BangerError, Code
from tests.unit.cli.conftest import Cli, view
from tests.unit.cli.peer import Body, Peer, refuse

Begin = Callable[..., Peer]
WEB = view("web")
RESTORE = ("vm", "snapshot", "restore", "web", "clean")
LOST = ["web is running: what is in its memory is lost", "its disks have changed since"]


def unless_forced(body: Body) -> Body:
    if body["force"]:
        return WEB
    message = "web is not what it was at the snapshot clean"
    raise BangerError(Code.CONFLICT, message, details={"lost": LOST})


def test_where_nothing_is_lost_nobody_is_asked(cli: Cli, peer: Begin) -> None:
    services = peer({"snapshot.restore": lambda _: WEB})
    ran = cli(*RESTORE)
    assert (ran.status, ran.out, ran.err) == (0, "web\n", "")
    body = {"ref": "web", "name": "clean", "force": False}
    assert services.calls == [("snapshot.restore", body)]


def test_yes_is_for_all_of_it(cli: Cli, peer: Begin) -> None:
    services = peer({"snapshot.restore": unless_forced})
    ran = cli("vm", "snapshot", "restore", "--yes", "web/clean", "-q")
    assert (ran.status, ran.out) == (0, "0123456789ab\n")
    assert [body["force"] for _, body in services.calls] == [True]


def test_the_disks_may_be_wanted_alone(cli: Cli, peer: Begin) -> None:
    services = peer({"snapshot.restore": lambda _: WEB})
    assert cli(*RESTORE, "--disk").status == 0
    ((_, body),) = services.calls
    assert body == {"ref": "web", "name": "clean", "force": False, "memory": False}


@pytest.mark.parametrize(("answer", "status"), [("y", 0), ("n", 1), ("", 1)])
def test_what_is_lost_is_said_before_somebody_is_asked(
    cli: Cli, peer: Begin, answer: str, status: int
) -> None:
    services = peer({"snapshot.restore": unless_forced})
    ran = cli.on_terminal([*RESTORE], [(b"[y/N]: ", f"{answer}\n".encode())])
    assert ran.status == status
    before, _, after = ran.out.partition("Restore web to clean?")
    assert all(sentence in before for sentence in LOST)
    assert ("Nothing was changed." in after) is bool(status)
    assert [body["force"] for _, body in services.calls] == [False, True][: 2 - status]


def test_nobody_to_ask_is_a_conflict_that_programs_can_read(cli: Cli, peer: Begin) -> None:
    services = peer({"snapshot.restore": unless_forced})
    ran = cli(*RESTORE, "-o", "json")
    assert (ran.status, ran.out) == (4, "")
    error = json.loads(ran.err)["error"]
    assert error["details"]["lost"] == LOST
    assert error["hint"].endswith("banger vm snapshot restore --yes web clean")
    assert len(services.calls) == 1


def test_another_conflict_is_no_question(cli: Cli, peer: Begin) -> None:
    services = peer({"snapshot.restore": refuse(Code.CONFLICT, "web is starting")})
    ran = cli.on_terminal([*RESTORE], [])
    assert ran.status == 4
    assert "[y/N]" not in ran.out
    assert len(services.calls) == 1


def test_what_does_not_fit_is_refused_however_sure_one_is(cli: Cli, peer: Begin) -> None:
    peer({"snapshot.restore": refuse(Code.INCOMPATIBLE, "it was saved on another CPU")})
    assert cli(*RESTORE, "--yes").err == "error: it was saved on another CPU\n"
