"""That a repository has moved is said once for each move."""

import asyncio
from pathlib import Path

import pytest

from services.api.policy import moved_heads
from services.api.policy.moved_heads import MovedHeads
from shared.contract.messages.vm import Vm
from shared.contract.messages.workspace import Workspace
from tests.example import example_vm


def repository(path: Path, commit: str) -> str:
    (path / ".git").mkdir(parents=True, exist_ok=True)
    (path / ".git" / "HEAD").write_text(f"{commit}\n")
    return str(path)


def vm(*workspaces: Workspace) -> Vm:
    return example_vm(workspaces=list(workspaces))


def test_a_move_is_said_once_and_the_next_one_again(tmp_path: Path) -> None:
    heads = MovedHeads()
    top = repository(tmp_path, "a" * 40)
    prepared = vm(Workspace(host_path=top, head="a" * 40, commit="f" * 40))

    def notices() -> list[str]:
        return asyncio.run(heads.notices(prepared))

    assert notices() == []
    repository(tmp_path, "b" * 40)
    assert notices() == [
        f"the host's repository {top} has moved from aaaaaaa to bbbbbbb since it was prepared; "
        "take it in with: banger vm workspace sync beta"
    ]
    assert notices() == []
    repository(tmp_path, "c" * 40)
    assert len(notices()) == 1
    heads.forget(prepared.id)
    assert len(notices()) == 1


def test_each_workspace_is_looked_at_and_named(tmp_path: Path) -> None:
    one = repository(tmp_path / "one", "a" * 40)
    two = repository(tmp_path / "two", "b" * 40)
    prepared = vm(
        Workspace(host_path=one, guest_path="/root/one", head="a" * 40),
        Workspace(host_path=two, guest_path="/root/two", head=""),
    )
    (said,) = asyncio.run(MovedHeads().notices(prepared))
    assert "has moved from no commit to bbbbbbb" in said
    assert said.endswith("banger vm workspace sync beta --guest-path /root/two")


def test_a_repository_that_is_gone_has_not_moved() -> None:
    prepared = vm(Workspace(host_path="/nonexistent", head="a" * 40))
    assert asyncio.run(MovedHeads().notices(prepared)) == []


def test_a_disk_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    answers, looks = threading.Event(), []

    def look(path: str) -> str:
        looks.append(path)
        answers.wait(30)
        return "b" * 40

    monkeypatch.setattr(moved_heads, "repository_head", look)
    monkeypatch.setattr(moved_heads, "LOOK_SECONDS", 0.05)

    async def act() -> None:
        heads = MovedHeads()
        assert await heads.head_of("/slow") == ""
        assert await heads.head_of("/slow") == ""
        answers.set()

    asyncio.run(act())
    assert looks == ["/slow"]
