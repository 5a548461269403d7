"""Publish and unpublish: the machine first, then the row."""

import pytest

from shared.config import Config
from shared.contract.messages.vm import Publication
from shared.contract.verbs import api
from shared.errors import BangerError, Code
from shared.paths import Paths
from tests.example import example_vm
from tests.fakes.scene import Scene, play


def port(number: int) -> Publication:
    return Publication(host_port=number, guest_port=80)


WEB = example_vm(id="web", name="web", address="127.77.0.9", publish=[port(8080)])


def test_ports_of_a_running_vm_are_led_first_and_then_stored(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running()
            shown = await scene.bus.ask(api.VM_PUBLISH(ref="beta", publish=[port(8081)]))
            assert shown.vm.publish == scene.row().publish == [port(8081)]
            assert [vm.publish for vm in scene.supervisor().applied] == [[port(8081)]]
            assert scene.bus.verbs() == [
                "api vm.publish",
                "store vm.get",
                "store vm.check",
                "vm machine.apply",
                "store vm.update",
            ]

    play(act())


def test_ports_of_a_stopped_vm_are_stored(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm()) as scene:
            await scene.bus.ask(api.VM_PUBLISH(ref="beta", publish=[port(8081)]))
            await scene.bus.ask(api.VM_PUBLISH(ref="beta", publish=[port(8081), port(8082)]))
            assert scene.row().publish == [port(8081), port(8082)]
            assert scene.spare.given == []

    play(act())


def test_a_port_of_another_vm_is_refused_before_the_machine_is_asked(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, WEB) as scene:
            await scene.running()
            with pytest.raises(BangerError) as refused:
                await scene.bus.ask(api.VM_PUBLISH(ref="beta", publish=[port(8080)]))
            assert refused.value.code is Code.CONFLICT
            assert refused.value.details == {"vm": "web"}
            assert scene.supervisor().applied == []

    play(act())


def test_a_machine_that_was_changed_and_not_stored_is_changed_back(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running()
            scene.bus.troubles["store vm.update"].append(BangerError(Code.CONFLICT, "too late"))
            with pytest.raises(BangerError, match="too late"):
                await scene.bus.ask(api.VM_PUBLISH(ref="beta", publish=[port(8081)]))
            assert [vm.publish for vm in scene.supervisor().applied] == [[port(8081)], []]
            assert scene.row().publish == []

    play(act())


def test_what_the_machine_refuses_is_not_stored(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running()
            scene.bus.troubles["vm machine.apply"].append(BangerError(Code.CONFLICT, "nginx"))
            with pytest.raises(BangerError, match="nginx"):
                await scene.bus.ask(api.VM_PUBLISH(ref="beta", publish=[port(8081)]))
            assert scene.row().publish == []

    play(act())


@pytest.mark.parametrize(
    ("words", "every", "left"),
    [(["8080"], False, [port(8081)]), (["8080:80", "8081/tcp"], False, []), ([], True, [])],
)
def test_what_was_published_is_taken_away_by_a_part_of_it(
    paths: Paths, words: list[str], every: bool, left: list[Publication]
) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running(publish=[port(8080), port(8081)])
            request = api.VM_UNPUBLISH(ref="beta", ports=words, every=every)
            assert (await scene.bus.ask(request)).vm.publish == left
            assert scene.row().publish == scene.supervisor().applied[-1].publish == left

    play(act())


def test_what_is_not_published_is_not_found_and_nothing_changes(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, WEB) as scene:
            with pytest.raises(BangerError) as refused:
                await scene.bus.ask(api.VM_UNPUBLISH(ref="web", ports=["8080", "9"]))
            assert refused.value.code is Code.NOT_FOUND
            assert scene.row("web") == WEB

    play(act())


def test_in_bridge_mode_nat_leads_the_ports(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, config=Config(network="bridge")) as scene:
            await scene.running()
            await scene.bus.ask(api.VM_PUBLISH(ref="beta", publish=[port(80)]))
            assert scene.nat.applied == 1

    play(act())
