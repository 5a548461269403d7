"""Verbs that only look."""

from typing import Any

import pytest
from msgspec.structs import replace

from services.api.machines.image_configs import ImageConfigs
from shared.bus import paging
from shared.contract.messages.guest_run import CommandWish, GuestRun
from shared.contract.messages.image import ImageConfig
from shared.contract.messages.vm import Vm
from shared.contract.verbs import api
from shared.errors import BangerError, Code
from shared.paths import Paths
from shared.vm import files
from shared.vm.handle import read_handle
from tests.example import example_vm
from tests.fakes.images import IMAGE
from tests.fakes.scene import Scene, play, settled


def test_a_listing_reads_each_handle_once(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm(id="b" * 12, name="old")) as scene:
            vm = await scene.running()
            read: list[Any] = []

            def count(run: Any) -> Any:
                read.append(run)
                return read_handle(run)

            monkeypatch.setattr("services.api.machines.vm_view.read_handle", count)
            listed = (await scene.bus.ask(api.VM_LIST())).vms
            assert [(each.vm.name, each.vm.state) for each in listed] == [
                ("old", "stopped"),
                ("beta", "running"),
            ]
            assert read == [paths.vm_run(vm.id)]
            assert scene.bus.verbs() == ["api vm.list", "store vm.list"]

    play(act())


def test_vms_that_services_keep_are_in_no_listing(paths: Paths) -> None:
    async def act() -> None:
        kept = example_vm(id="c" * 12, name="c" * 12, state="stopped", keeper="template")
        async with Scene(paths, kept, example_vm()) as scene:
            for listing in (api.VM_LIST(), api.VM_PRUNABLE()):
                assert [each.vm.name for each in (await scene.bus.ask(listing)).vms] == ["beta"]
            assert [vm.name for vm in await scene.context.rows()] == ["beta"]

    play(act())


def test_what_prune_would_take_has_no_vmm(paths: Paths) -> None:
    async def act() -> None:
        states: list[Any] = ["created", "stopped", "failed"]
        vms = [example_vm(id=state, name=state, state=state) for state in states]
        async with Scene(paths, *vms, example_vm(id="x", name="lost", state="running")) as scene:
            await scene.running()
            listed = (await scene.bus.ask(api.VM_PRUNABLE())).vms
            assert [each.vm.name for each in listed] == [*states, "lost"]

    play(act())


def test_a_listing_has_several_pages_when_the_views_are_large(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "PAGE_BYTES", 1)

    async def act() -> None:
        vms = [
            example_vm(id=name, name=name, state=state)
            for name, state in (("a", "stopped"), ("b", "failed"), ("c", "stopped"))
        ]
        async with Scene(paths, *vms) as scene:
            page = await scene.bus.ask(api.VM_LIST(filters=["state=stopped"]))
            assert ([each.vm.name for each in page.vms], page.next) == (
                *(["a"], f"{vms[0].created_at} a"),
            )

    play(act())


def test_references_are_resolved_by_the_store(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm()) as scene:
            told = (await scene.bus.ask(api.VM_RESOLVE(refs=["be", "no"]))).resolved
            assert [each.name for each in told] == ["beta", ""]
            assert scene.bus.verbs() == ["api vm.resolve", "store vm.resolve"]

    play(act())


def test_a_running_vm_is_shown_with_its_ports_without_asking_its_supervisor(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running()
            shown = await scene.bus.ask(api.VM_SHOW(ref="beta"))
            assert (shown.vm.state, shown.ports) == ("running", {"tcp/80": 8080})
            assert scene.bus.verbs() == ["api vm.show", "store vm.get"]

    play(act())


def test_access_to_a_running_vm_counts_as_use(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            vm = await scene.running()
            scene.store.vms[vm.id].touched_at = ""
            assert (await scene.bus.ask(api.VM_ACCESS(ref="beta"))).access
            await settled(lambda: scene.row().touched_at)

    play(act())


@pytest.mark.parametrize("state", ["paused", "stopping", "stopped"])
def test_a_vm_that_does_not_run_gives_no_access(paths: Paths, state: Any) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            vm = await scene.running()
            scene.store.vms[vm.id].state = state
            with pytest.raises(BangerError) as refused:
                await scene.bus.ask(api.VM_ACCESS(ref="beta"))
            assert refused.value.code is Code.NOT_RUNNING
            assert "store vm.touch" not in scene.bus.verbs()

    play(act())


def test_stats_of_a_running_vm_come_from_disks_and_supervisor(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            vm = await scene.running()
            disks = paths.vm_state(vm.id)
            disks.mkdir(parents=True)
            (disks / files.OVERLAY).write_bytes(b"x" * 100)
            (disks / files.WORK_DISK).write_bytes(b"x" * 23)
            stats = await scene.bus.ask(api.VM_STATS(ref="beta"))
            assert (stats.disk_apparent, stats.memory_bytes) == (123, 128 << 20)
            assert (stats.cpu_seconds, stats.sent_bytes) == (1.5, 5)

    play(act())


def test_stats_of_a_stopped_vm_are_those_of_its_disks(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm()) as scene:
            stats = await scene.bus.ask(api.VM_STATS(ref="beta"))
            assert (stats.disk_apparent, stats.cpu_seconds) == (0, None)

    play(act())


def test_stats_are_given_while_there_is_no_vmm_yet(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running()
            none = BangerError(Code.NOT_RUNNING, "not yet")
            scene.bus.troubles["vm machine.stats"] += [none, BangerError(Code.TIMEOUT, "late")]
            assert (await scene.bus.ask(api.VM_STATS(ref="beta"))).cpu_seconds is None
            with pytest.raises(BangerError, match="late"):
                await scene.bus.ask(api.VM_STATS(ref="beta"))

    play(act())


def test_ports_and_health_are_the_supervisors_answers(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running()
            assert [each.guest_port for each in (await _ports(scene)).ports] == [80]
            assert (await scene.bus.ask(api.VM_HEALTH(ref="beta"))).healthy

    play(act())


async def _ports(scene: Scene) -> Any:
    return await scene.bus.ask(api.VM_PORTS(ref="beta"))


def test_a_vm_that_does_not_run_has_no_ports_and_says_what_it_is(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm(state="failed", reason="it panicked")) as scene:
            with pytest.raises(BangerError) as refused:
                await _ports(scene)
            assert refused.value.code is Code.NOT_RUNNING
            health = await scene.bus.ask(api.VM_HEALTH(ref="beta"))
            assert not health.healthy
            assert health.checks[0].detail == "beta is failed: it panicked"

    play(act())


async def _with_config(scene: Scene) -> Vm:
    """A running VM of an image that says how to be run."""
    scene.images.images = [replace(IMAGE, config=CONFIG)]
    return await scene.running()


CONFIG = ImageConfig(env={"STAGE": "image"}, user="app", exposed=["80/tcp"])


def test_a_command_gets_what_its_image_says(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            vm = await _with_config(scene)
            wish = CommandWish(argv=["id"])
            shown = await scene.bus.ask(api.VM_ACCESS(ref=vm.id, command=wish))
            assert shown.command == GuestRun(
                argv=["id"], env={"STAGE": "image"}, user="app", image_env=True
            )
            assert (await scene.bus.ask(api.VM_ACCESS(ref=vm.id))).command is None
            assert (await scene.bus.ask(api.VM_SHOW(ref=vm.id))).exposed == ["80/tcp"]
            assert "images image.show" not in scene.bus.verbs()

    play(act())


def test_without_the_images_service_a_command_runs_as_it_is_and_that_is_said(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm(id="b" * 12, name="old")) as scene:
            vm = await _with_config(scene)
            scene.context.image_configs = ImageConfigs(scene.context.ask)
            scene.bus.troubles["images image.show"].append(BangerError(Code.UNAVAILABLE, "away"))
            wish = CommandWish(argv=["id"])
            shown = await scene.bus.ask(api.VM_ACCESS(ref=vm.id, command=wish))
            assert shown.command is None
            assert shown.notices == [
                "the variables, directory and user of debian-bookworm are not known now, so the "
                "command runs without them: away"
            ]

    play(act())
