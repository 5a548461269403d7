"""Verbs about repositories in guests, over a service that does its transfers at once."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from services.api.verbs.workspaces import tidy
from shared.contract.messages.workspace import Workspace
from shared.contract.verb import Request
from shared.contract.verbs import api
from shared.contract.workspaces import MOST_WORKSPACES
from shared.errors import BangerError, Code
from shared.paths import Paths
from tests.example import example_vm
from tests.fakes.scene import Scene, play, settled
from tests.fakes.workspaces import COMMIT


async def refusal(scene: Scene, request: Request[Any]) -> BangerError:
    with pytest.raises(BangerError) as refused:
        await scene.bus.ask(request)
    return refused.value


def operation(scene: Scene) -> Any:
    return scene.context.operations.list()[-1]


def test_a_plan_needs_no_vm(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            plan = await scene.bus.ask(api.WORKSPACE_PLAN(path="/src"))
            assert (plan.host_path, plan.guest_path) == ("/src", "/root/repo")
            assert scene.bus.verbs() == ["api workspace.plan", "workspaces transfer.plan"]

    play(act())


def test_what_was_prepared_is_in_the_row(paths: Paths, tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text("b" * 40)

    async def act() -> None:
        async with Scene(paths) as scene:
            vm = await scene.running(nat=True)
            done = await scene.bus.ask(
                api.WORKSPACE_PREPARE(ref="beta", path=str(tmp_path), guest_path="/srv//x/")
            )
            (stored,) = scene.row().workspaces
            assert done.workspace == stored
            assert (stored.guest_path, stored.commit, stored.head) == ("/srv/x", COMMIT, "b" * 40)
            assert stored.prepared_at
            (asked,) = scene.workspaces.prepared
            assert (asked.target.vm_id, asked.target.vm_name) == (vm.id, "beta")
            assert (asked.outside, asked.sync) == (True, False)
            assert (operation(scene).verb, operation(scene).state) == ("workspace.prepare", "done")
            assert (operation(scene).subject, operation(scene).stage) == ("beta", "files")
            await settled(lambda: scene.row().touched_at)

    play(act())


def test_a_sync_is_of_what_was_prepared(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running()
            await scene.bus.ask(api.WORKSPACE_PREPARE(ref="beta", path="/src"))
            await scene.bus.ask(api.WORKSPACE_SYNC(ref="beta", force=True))
            asked = scene.workspaces.prepared[-1]
            assert (asked.path, asked.sync, asked.force) == ("/src", True, True)
            assert len(scene.row().workspaces) == 1

    play(act())


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (api.WORKSPACE_SYNC(ref="beta"), Code.NOT_FOUND),
        (api.WORKSPACE_STATUS(ref="beta"), Code.NOT_FOUND),
        (api.WORKSPACE_EXPORT(ref="beta", output="/tmp/x"), Code.NOT_FOUND),
        (api.WORKSPACE_APPLY(ref="beta"), Code.NOT_FOUND),
        (api.WORKSPACE_APPLY(ref="gamma"), Code.NOT_FOUND),
        (api.WORKSPACE_PREPARE(ref="off", path="/src"), Code.NOT_RUNNING),
        (api.WORKSPACE_STATUS(ref="off"), Code.NOT_RUNNING),
    ],
)
def test_what_is_not_there_is_refused_before_anything_is_sent(
    paths: Paths, request_: Request[Any], code: Code
) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm(id="off", name="off")) as scene:
            await scene.running()
            assert (await refusal(scene, request_)).code is code
            assert not [verb for verb in scene.bus.verbs() if verb.startswith("workspaces")]

    play(act())


def test_one_workspace_too_many_is_refused_before_anything_is_sent(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running()
            scene.row().workspaces.extend(
                Workspace(host_path="/s", guest_path=f"/root/{number}")
                for number in range(MOST_WORKSPACES)
            )
            prepare = api.WORKSPACE_PREPARE(ref="beta", path="/src")
            assert (await refusal(scene, prepare)).code is Code.CONFLICT
            assert scene.workspaces.prepared == []

    play(act())


def test_status_export_and_apply_are_of_the_workspace_that_is_named(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running()
            for path in ("/root/a", "/root/b"):
                prepare = api.WORKSPACE_PREPARE(ref="beta", path=f"/src{path}", guest_path=path)
                await scene.bus.ask(prepare)
            named: dict[str, Any] = {"ref": "beta", "guest_path": "/root/a/"}
            status = await scene.bus.ask(api.WORKSPACE_STATUS(**named))
            exported = await scene.bus.ask(api.WORKSPACE_EXPORT(output="/tmp/x", **named))
            applied = await scene.bus.ask(api.WORKSPACE_APPLY(**named))
            for done in (status, exported, applied):
                assert done.workspace.host_path == "/src/root/a"
            unnamed = await refusal(scene, api.WORKSPACE_STATUS(ref="beta"))
            assert unnamed.code is Code.AMBIGUOUS

    play(act())


def test_a_cancel_ends_the_transfer_and_leaves_the_row(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running()
            scene.workspaces.held = asyncio.Event()
            prepare = api.WORKSPACE_PREPARE(ref="beta", path="/src")
            task = asyncio.create_task(scene.bus.ask(prepare))
            await settled(lambda: scene.workspaces.prepared)
            cancelled = await scene.bus.ask(api.OPS_CANCEL(ref=operation(scene).id))
            assert cancelled.state == "cancelled"
            assert scene.row().workspaces == []
            with pytest.raises(asyncio.CancelledError):
                await task

    play(act())


def test_a_transfer_that_was_done_before_its_cancel_is_stored(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running()
            scene.workspaces.held, scene.workspaces.too_late = asyncio.Event(), True
            prepare = api.WORKSPACE_PREPARE(ref="beta", path="/src")
            task = asyncio.create_task(scene.bus.ask(prepare))
            await settled(lambda: scene.workspaces.prepared)
            task.cancel()
            assert (await task).files == 3
            assert len(scene.row().workspaces) == 1

    play(act())


@pytest.mark.parametrize(("ended", "words"), [("delete", "was deleted"), ("stop", "was stopped")])
def test_a_transfer_whose_vm_has_ended_says_so(paths: Paths, ended: str, words: str) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running()
            end: Request[Any] = (
                api.VM_DELETE(ref="beta") if ended == "delete" else api.VM_STOP(ref="beta")
            )
            original = scene.workspaces._wait

            async def lose(call: Any) -> None:
                await scene.bus.ask(end)  # no lock of the VM is held: this returns
                await original(call)
                raise BangerError(Code.LOST, "the connection ended")

            scene.workspaces._wait = lose  # type: ignore[method-assign]
            error = await refusal(scene, api.WORKSPACE_PREPARE(ref="beta", path="/src"))
            assert error.code is Code.LOST
            assert words in error.message

    play(act())


def test_a_vm_that_is_being_deleted_counts_as_deleted(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            vm = await scene.running()

            async def lose(call: Any) -> None:
                scene.context.being_deleted.add(vm.id)
                raise BangerError(Code.LOST, "the connection ended")

            scene.workspaces._wait = lose  # type: ignore[method-assign]
            error = await refusal(scene, api.WORKSPACE_PREPARE(ref="beta", path="/src"))
            assert error.message == "beta was deleted during the transfer"
            scene.context.being_deleted.clear()
            await scene.bus.ask(api.VM_DELETE(ref="beta"))
            assert scene.context.being_deleted == set()

    play(act())


def test_a_failure_that_is_not_the_vms_is_passed_on(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running()
            scene.bus.troubles["workspaces transfer.prepare"] = [
                BangerError(Code.CONFLICT, "/root/repo is not empty", details={"paths": ["a"]})
            ]
            error = await refusal(scene, api.WORKSPACE_PREPARE(ref="beta", path="/src"))
            assert (error.code, error.details) == (Code.CONFLICT, {"paths": ["a"]})
            assert operation(scene).state == "failed"

    play(act())


def test_a_service_that_was_lost_is_asked_again_but_for_an_apply(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running()
            gone = BangerError(Code.UNAVAILABLE, "workspaces ended")
            scene.bus.troubles["workspaces transfer.prepare"] = [gone, gone]
            await scene.bus.ask(api.WORKSPACE_PREPARE(ref="beta", path="/src"))
            scene.bus.troubles["workspaces transfer.apply"] = [gone]
            error = await refusal(scene, api.WORKSPACE_APPLY(ref="beta"))
            assert error.code is Code.UNAVAILABLE

    play(act())


def test_access_says_once_that_the_repository_has_moved(paths: Paths, tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    head = tmp_path / ".git" / "HEAD"
    head.write_text("b" * 40)

    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running()
            await scene.bus.ask(api.WORKSPACE_PREPARE(ref="beta", path=str(tmp_path)))
            assert (await scene.bus.ask(api.VM_ACCESS(ref="beta"))).notices == []
            head.write_text("c" * 40)
            (said,) = (await scene.bus.ask(api.VM_ACCESS(ref="beta"))).notices
            assert "has moved from bbbbbbb to ccccccc" in said
            assert (await scene.bus.ask(api.VM_ACCESS(ref="beta"))).notices == []

    play(act())


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("/root/repo", "/root/repo"),
        ("//root/./repo//", "/root/repo"),
        ("/", "/"),
        ("repo/", "repo"),
        ("/root/../etc", "/root/../etc"),
        ("", ""),
    ],
)
def test_a_guest_path_has_one_form(given: str, path: str) -> None:
    assert tidy(given) == path
