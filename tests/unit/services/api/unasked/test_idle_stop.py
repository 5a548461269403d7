"""VMs that nobody uses are stopped, those in use are not."""

import pytest

from services.api.unasked import idle_stop
from services.api.unasked.idle_stop import IdleStop
from shared.paths import Paths
from tests.fakes.scene import Scene, play

LONG_AGO = "2020-01-01T00:00:00Z"


def test_a_vm_that_nobody_has_used_for_long_is_stopped(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A VM of another state directory may have the address at the moment, and a session.
    monkeypatch.setattr(idle_stop, "sessions", lambda *_: 0)

    async def act() -> None:
        async with Scene(paths) as scene:
            idle, fresh = await scene.running("idle"), await scene.running("fresh")
            scene.store.vms[idle.id].touched_at = LONG_AGO
            await IdleStop(scene.context, 60.0).stop_unused()
            assert scene.row("idle").state == "stopped"
            assert scene.row("fresh").state == "running"
            assert scene.context.supervisors.serves(fresh.id)

    play(act())


def test_a_vm_with_a_session_counts_as_used_until_it_is_over(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            used = await scene.running("used")
            scene.store.vms[used.id].touched_at = LONG_AGO
            watch = IdleStop(scene.context, 60.0)
            monkeypatch.setattr(idle_stop, "sessions", lambda *_: 1)
            await watch.stop_unused()
            assert scene.row("used").state == "running"
            await watch.touch_used()
            assert scene.row("used").touched_at > LONG_AGO
            monkeypatch.setattr(idle_stop, "sessions", lambda *_: 0)
            await watch.stop_unused()
            assert scene.row("used").state == "running"

    play(act())
