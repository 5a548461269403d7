"""``vm.set``: what may change when, and who hears of it."""

from typing import Any

import pytest

from shared.config import Config
from shared.contract.verbs import api
from shared.errors import BangerError, Code
from shared.paths import Paths
from shared.vm.known_hosts import names_of, pin, pinned
from tests.example import example_vm
from tests.fakes.scene import Scene, play

BRIDGE = Config(network="bridge")


def test_sizes_of_a_stopped_vm_are_stored(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm(disk_bytes=64 << 20, overlay_bytes=64 << 20)) as scene:
            disks = {"disk_bytes": 65 << 20, "overlay_bytes": 66 << 20}
            sizes: dict[str, Any] = {"vcpu": 1, "memory_mib": 256, **disks}
            shown = await scene.bus.ask(api.VM_SET(ref="be", vmm="qemu", **sizes))
            assert scene.row() == shown.vm
            assert (shown.vm.memory_mib, shown.vm.disk_bytes, shown.vm.vmm) == (
                *(256, 65 << 20, "qemu"),
            )
            assert shown.vm.overlay_bytes == 66 << 20
            assert scene.bus.verbs() == ["api vm.set", "store vm.get", "store vm.update"]

    play(act())


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"memory_mib": 1}, Code.INVALID),
        ({"vcpu": 0}, Code.INVALID),
        ({"disk_bytes": 64 << 20}, Code.INVALID),
        ({"overlay_bytes": 64 << 20}, Code.INVALID),
        ({"allow": ["example.org"]}, Code.INVALID),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    paths: Paths, given: dict[str, Any], code: Code
) -> None:
    async def act() -> None:
        before = example_vm(disk_bytes=128 << 20, overlay_bytes=128 << 20)
        async with Scene(paths, before) as scene:
            with pytest.raises(BangerError) as refused:
                await scene.bus.ask(api.VM_SET(ref="beta", **given))
            assert refused.value.code is code
            assert scene.row() == before

    play(act())


def test_what_is_refused_of_a_running_vm_keeps_the_rest_from_being_set(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            vm = await scene.running()
            with pytest.raises(BangerError) as refused:
                await scene.bus.ask(api.VM_SET(ref="beta", vcpu=1, nat=True))
            assert refused.value.code is Code.CONFLICT
            assert "banger vm stop beta" in refused.value.hint
            assert not scene.row().nat
            assert scene.row().id == vm.id

    play(act())


def test_egress_of_a_running_vm_is_stored_and_then_applied(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running()
            shown = await scene.bus.ask(api.VM_SET(ref="beta", nat=True))
            assert shown.vm.nat
            assert scene.bus.verbs()[2:] == ["store vm.update", "vm machine.apply"]
            assert [vm.nat for vm in scene.supervisor().applied] == [True]

    play(act())


def test_egress_is_applied_also_when_the_row_was_so_already(paths: Paths) -> None:
    """The process that wrote it may have died before the machine had heard of it."""

    async def act() -> None:
        async with Scene(paths) as scene:
            await scene.running(nat=True)
            await scene.bus.ask(api.VM_SET(ref="beta", nat=True))
            assert scene.bus.verbs()[2:] == ["vm machine.apply"]

    play(act())


@pytest.mark.parametrize(("state", "applied"), [("running", 1), ("stopped", 0)])
def test_in_bridge_mode_nat_applies_it_to_a_vm_that_runs(
    paths: Paths, state: Any, applied: int
) -> None:
    async def act() -> None:
        async with Scene(paths, config=BRIDGE) as scene:
            vm = await scene.running()
            if state == "stopped":
                await scene.bus.ask(api.VM_STOP(ref="beta"))
            scene.nat.applied = 0
            shown = await scene.bus.ask(api.VM_SET(ref=vm.id, allow=["Example.org"]))
            assert (shown.vm.nat, shown.vm.allow) == (False, ["example.org"])
            assert scene.nat.applied == applied

    play(act())


def test_what_nat_refuses_is_stored_and_said_so(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, config=BRIDGE) as scene:
            await scene.running()
            scene.bus.troubles["nat nat.apply"].append(BangerError(Code.INTERNAL, "no", hint="hm"))
            with pytest.raises(BangerError) as refused:
                await scene.bus.ask(api.VM_SET(ref="beta", nat=True))
            assert refused.value.hint == (
                "the change is stored, and takes effect when the nat service can apply it; hm"
            )
            assert scene.row().nat

    play(act())


def test_a_running_vm_is_renamed_with_its_pin_and_its_machine(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            vm = await scene.running()
            pin(paths.known_hosts, names_of(vm.id, vm.name, vm.address), "ssh-ed25519 AAAA")
            shown = await scene.bus.ask(api.VM_RENAME(ref="beta", name="gamma"))
            assert (shown.vm.name, scene.row("gamma").name) == ("gamma", "gamma")
            assert paths.known_hosts.read_text().startswith(f"gamma.vm,{vm.id}.vm,{vm.id},")
            assert not pinned(paths.known_hosts, "beta.vm")
            assert scene.bus.verbs()[-1] == "vm machine.apply"

    play(act())


def test_a_stopped_vm_is_renamed_without_asking_a_supervisor(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths, example_vm()) as scene:
            await scene.bus.ask(api.VM_RENAME(ref="beta", name="gamma"))
            assert scene.row("gamma").name == "gamma"
            assert not pinned(paths.known_hosts, "gamma.vm")
            assert "vm machine.apply" not in scene.bus.verbs()

    play(act())


@pytest.mark.parametrize(
    ("name", "code"), [("web", Code.CONFLICT), ("Web", Code.INVALID), ("gamma", Code.CONFLICT)]
)
def test_a_name_that_is_taken_bad_or_still_meant_by_a_list_is_refused(
    paths: Paths, name: str, code: Code
) -> None:
    async def act() -> None:
        allow = ["beta.vm:5432"] if name == "gamma" else []
        other = example_vm(id="ba9876543210", name="web", address="127.77.0.9", allow=allow)
        async with Scene(paths, example_vm(), other) as scene:
            with pytest.raises(BangerError) as refused:
                await scene.bus.ask(api.VM_RENAME(ref="beta", name=name))
            assert refused.value.code is code
            assert scene.store.vms[example_vm().id].name == "beta"

    play(act())


def test_a_vm_that_is_kept_outlives_the_command_that_made_it(paths: Paths) -> None:
    async def act() -> None:
        async with Scene(paths) as scene:
            vm = await scene.running(lease="0123456789abcdef")
            assert vm.id in scene.context.leased.leases
            shown = await scene.bus.ask(api.VM_KEEP(ref="beta"))
            assert (shown.vm.lease, scene.row().lease) == ("", "")
            assert scene.context.leased.leases == {}
            await scene.bus.ask(api.VM_KEEP(ref="beta"))

    play(act())
