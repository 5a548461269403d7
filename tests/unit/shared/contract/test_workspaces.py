"""Which workspace of a VM is meant, and how many there may be."""

import pytest

from shared.contract.messages.vm import Vm
from shared.contract.messages.workspace import Workspace
from shared.contract.workspaces import MOST_WORKSPACES, check_room, find_workspace, with_workspace
from shared.errors import BangerError, Code
from tests.example import example_vm


def vm(*guest_paths: str) -> Vm:
    return example_vm(
        workspaces=[Workspace(host_path="/s", guest_path=each) for each in guest_paths]
    )


def test_the_only_workspace_needs_no_name() -> None:
    assert find_workspace(vm("/root/repo"), "").guest_path == "/root/repo"
    assert find_workspace(vm("/root/a", "/root/b"), "/root/b").guest_path == "/root/b"


@pytest.mark.parametrize(
    ("there", "path", "code", "words"),
    [
        ((), "", Code.NOT_FOUND, "beta has no workspace"),
        (("/root/a",), "/root/b", Code.NOT_FOUND, "beta has no workspace at /root/b"),
        (("/root/a", "/root/b"), "", Code.AMBIGUOUS, "beta has 2 workspaces: /root/a, /root/b"),
    ],
)
def test_what_is_not_meant_says_what_there_is(
    there: tuple[str, ...], path: str, code: Code, words: str
) -> None:
    with pytest.raises(BangerError) as raised:
        find_workspace(vm(*there), path)
    assert (raised.value.code, raised.value.message) == (code, words)


def test_the_latest_is_the_last_and_each_path_is_there_once() -> None:
    again = Workspace(host_path="/other", guest_path="/root/a")
    placed = with_workspace(vm("/root/a", "/root/b"), again)
    assert [(each.guest_path, each.host_path) for each in placed] == [
        ("/root/b", "/s"),
        ("/root/a", "/other"),
    ]


def test_there_is_a_limit_to_their_number() -> None:
    full = vm(*(f"/root/{number}" for number in range(MOST_WORKSPACES)))
    check_room(full, "/root/0")
    with pytest.raises(BangerError) as raised:
        check_room(full, "/root/more")
    assert raised.value.code is Code.CONFLICT
