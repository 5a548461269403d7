"""A new VM begins as a copy of a template, and boots where that is of no use."""

import pytest

from services.api.unasked import template_making
from shared.errors import BangerError, Code
from shared.paths import Paths
from shared.vm import files
from tests.fakes.scene import play, settled
from tests.fakes.supervisor import FakeSupervisor
from tests.fakes.templates import created, make_template, scene_with_templates, settles


@pytest.fixture(autouse=True)
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_making, "QUIET_SECONDS", 0.001)


def test_what_is_booted_is_wanted_and_the_next_one_is_made_of_it(paths: Paths) -> None:
    async def act() -> None:
        async with scene_with_templates(paths) as scene:
            first = await created(scene)
            assert (first.template, scene.supervisor().spec.saved) == ("", "")
            wanted = await make_template(scene)
            second = await created(scene, "gamma")
            spec = scene.supervisor().spec
            assert second.template == wanted.key == scene.row("gamma").template
            assert spec.saved == str(scene.context.templates.place(wanted.key))
            assert spec.checked
            record = scene.context.templates.library.record
            await settled(lambda: (found := record(wanted.key)) and found.uses == 1)

    play(act())


def test_cold_boots_and_wants_nothing(paths: Paths) -> None:
    async def act() -> None:
        async with scene_with_templates(paths) as scene:
            await created(scene, cold=True)
            assert scene.context.templates.wanted.still() == []
            await created(scene, "warm")
            await make_template(scene)
            assert (await created(scene, "gamma", cold=True)).template == ""
            assert scene.supervisor().spec.saved == ""

    play(act())


@pytest.mark.parametrize(
    ("code", "is_there", "is_struck"),
    [
        (Code.GUEST_FAILED, True, True),
        (Code.NO_SPACE, True, True),
        (Code.INVALID, False, False),
        (Code.INCOMPATIBLE, False, False),
    ],
)
def test_one_that_does_not_come_up_boots(
    paths: Paths, code: Code, *, is_there: bool, is_struck: bool
) -> None:
    async def act() -> None:
        async with scene_with_templates(paths) as scene:
            await created(scene)
            key = (await make_template(scene)).key

            def fail(supervisor: FakeSupervisor) -> None:
                settles(supervisor)
                if supervisor.spec.saved:
                    supervisor.failure, supervisor.ran = BangerError(code, "no"), True
                    disk = paths.vm_state(supervisor.spec.vm.id) / files.OVERLAY
                    disk.parent.mkdir(parents=True)
                    disk.touch()

            scene.spare.setup = fail
            vm = await created(scene, "gamma")
            assert (vm.state, vm.template, scene.row("gamma").template) == ("running", "", "")
            assert scene.row("gamma").state == "running"
            assert not (paths.vm_state(vm.id) / files.OVERLAY).exists()  # no disk of the template
            templates = scene.context.templates
            assert templates.library.keys() == ([key] if is_there else [])
            assert templates.is_struck(key) is is_struck

    play(act())


def test_a_vm_that_is_not_wanted_any_more_is_not_booted(paths: Paths) -> None:
    async def act() -> None:
        async with scene_with_templates(paths) as scene:
            await created(scene)
            await make_template(scene)
            starts: list[str] = []

            def cancel(supervisor: FakeSupervisor) -> None:
                starts.append(supervisor.spec.saved)
                supervisor.failure = BangerError(Code.CANCELLED, "no")

            scene.spare.setup = cancel
            with pytest.raises(BangerError) as raised:
                await created(scene, "gamma")
            assert raised.value.code is Code.CANCELLED
            assert len(starts) == 1

    play(act())
