"""A launch with a scripted VMM: what it makes, and what one that fails leaves behind."""

import asyncio
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from services.vm_supervisor.drivers import registry
from services.vm_supervisor.drivers.contract import (
    ExitReason,
    MachineSpec,
    PortTaken,
    VmmExit,
    VmPlace,
)
from services.vm_supervisor.guest.channel import AgentAddress
from services.vm_supervisor.launch import launcher as under_test
from services.vm_supervisor.launch.launcher import VmmLauncher
from services.vm_supervisor.network.modes import Forward
from services.vm_supervisor.ports.publishing import PublishedPorts
from services.vm_supervisor.running_vm import RunningVm
from shared.config import Config
from shared.contract.messages.machine import SupervisorSpec
from shared.contract.messages.network import Attachment
from shared.contract.messages.vm import Publication
from shared.errors import BangerError, Code
from shared.host.process import ProcessId
from shared.logs import Log
from shared.paths import Paths
from shared.vm import files
from shared.vm.saved import MemoryForm
from tests.example import example_vm
from tests.loopback import address
from tests.scripted import shelf
from tests.unit.shared.vm.test_handle import own_handle
from tests.unit.shared.vmm.example import Paper, registered

SECONDS = 20.0
HOST = address(19)
SMALLEST = 16 << 20


class ScriptedNetwork:
    """Remembers the ports that it forwards."""

    def __init__(self) -> None:
        self.forwards: list[int] = []

    async def add_forward(self, forward: Forward) -> None:
        self.forwards.append(forward.port)

    async def remove_forward(self, forward: Forward) -> None:
        self.forwards.remove(forward.port)

    async def set_uplink(self, *, on: bool, literal: Sequence[str] = ()) -> None:
        pass


class ScriptedMachine:
    """A VMM that ends when it is killed unless it is ``stuck``; ``told`` is what it was told."""

    process: ProcessId = own_handle().process
    console_start = 42

    def __init__(self, network: ScriptedNetwork | None) -> None:
        self.user_network = network
        self.agent = AgentAddress(Path("absent"))
        self.told: list[str] = []
        self.attaching = asyncio.Event()
        self.attached = asyncio.Event()
        self.attached.set()
        self.trouble: BangerError | None = None
        self.stuck = False
        self._over = asyncio.Event()

    async def attach(self) -> None:
        self.told.append("attach")
        self.attaching.set()
        await self.attached.wait()
        if self.trouble:
            raise self.trouble

    async def pause(self) -> None:
        raise AssertionError("never")

    async def resume(self) -> None:
        self.told.append("resume")

    async def version(self) -> str:
        return "1.0"

    async def save(self, target: Path) -> MemoryForm:
        raise AssertionError("never")

    def kill(self, signum: signal.Signals = signal.SIGKILL) -> None:
        self.told.append(signum.name)
        if not self.stuck:
            self._over.set()

    async def ended(self) -> VmmExit:
        await self._over.wait()
        self.told.append("ended")
        return VmmExit(ExitReason.KILLED, "it was killed")

    async def close(self) -> None:
        self.told.append("close")


class ScriptedDriver:
    """Launches ``machine``. ``on_launch`` is called before, and may raise."""

    info = Paper()

    def __init__(self, machine: ScriptedMachine) -> None:
        self.machine = machine
        self.specs: list[MachineSpec] = []
        self.saved: list[Path | None] = []
        self.missing: BangerError | None = None
        self.on_launch: Callable[[MachineSpec], None] = lambda _: None

    def prepare(self, _spec: MachineSpec, _saved: Path | None = None) -> None:
        if self.missing:
            raise self.missing

    async def launch(self, spec: MachineSpec, saved: Path | None = None) -> ScriptedMachine:
        self.specs.append(spec)
        self.saved.append(saved)
        self.on_launch(spec)
        return self.machine

    def adopt(self, _place: VmPlace, process: ProcessId, console_start: int) -> ScriptedMachine:
        assert (process, console_start) == (self.machine.process, self.machine.console_start)
        return self.machine


class ScriptedNat:
    """Has a tap for every VM, or ``trouble``."""

    trouble: BangerError | None = None

    async def attach(self, vm_id: str) -> Attachment:
        if self.trouble:
            raise self.trouble
        return Attachment(
            tap=f"tap-{vm_id[:4]}", mac="m", address="10.9.0.2", prefix=24, gateway="10.9.0.1"
        )

    async def jail(self, vm_id: str, bases: Sequence[str]) -> ProcessId:
        raise AssertionError("never")

    async def signal(self, vm_id: str, signum: signal.Signals) -> None:
        raise AssertionError("never")


@dataclass
class Bench:
    """A VM that a scripted VMM is to run, with one published port."""

    paths: Paths
    spec: SupervisorSpec
    machine: ScriptedMachine
    driver: ScriptedDriver
    nat: ScriptedNat
    launcher: VmmLauncher
    ports: PublishedPorts
    stages: list[str]

    @property
    def run(self) -> Path:
        return self.paths.vm_run(self.spec.vm.id)

    @property
    def state(self) -> Path:
        return self.paths.vm_state(self.spec.vm.id)

    @property
    def published(self) -> int:
        return self.spec.vm.publish[0].host_port

    def port_is_free(self) -> bool:
        with socket.socket() as probe:
            try:
                probe.bind((HOST, self.published))
            except OSError:
                return False
        return True

    async def launch(self) -> RunningVm:
        return await self.launcher.launch(
            self.spec, self.ports, lambda stage, _words: self.stages.append(stage)
        )

    async def fails(self) -> BangerError:
        with pytest.raises(BangerError) as caught:
            await self.launch()
        return caught.value

    async def assert_nothing_runs(self) -> None:
        """Neither a handle nor a port that is held."""
        # mke2fs of a launch that failed beside it has the port's socket until its exec.
        await asyncio.get_running_loop().shutdown_default_executor()
        assert not (self.run / files.HANDLE).exists()
        assert not (self.run / files.HANDLE_COPY).exists()
        assert self.port_is_free()


def free_port() -> int:
    with socket.create_server((HOST, 0)) as server:
        return int(server.getsockname()[1])


def bench_in(root: Path, monkeypatch: pytest.MonkeyPatch, network: str) -> Bench:
    paths = Paths(**{name: root / name for name in ("config", "data", "state", "run")})
    shelf.stock(paths)
    vm = example_vm(
        id=os.urandom(6).hex(),
        vmm="paper",
        network=network,
        address=HOST,
        disk_bytes=SMALLEST,
        overlay_bytes=SMALLEST,
        publish=[Publication(host_address=HOST, host_port=free_port(), guest_port=80)],
    )
    paths.vm_run(vm.id).mkdir(parents=True)
    spec = SupervisorSpec(
        vm=vm,
        image=str((paths.images / "by-name" / shelf.NAME).resolve()),
        kernel=str((paths.kernels / "by-name" / shelf.NAME).resolve()),
    )
    machine = ScriptedMachine(ScriptedNetwork() if network == "user" else None)
    driver, nat = ScriptedDriver(machine), ScriptedNat()
    module = SimpleNamespace(make_driver=lambda _config, _jailer: driver)
    monkeypatch.setitem(sys.modules, "scripted_paper_driver", module)
    monkeypatch.setitem(registry.MODULES, "paper", "scripted_paper_driver")
    ports = PublishedPorts(vm.network, paths.vm_run(vm.id), Log(root / "log", "test"))
    launcher = VmmLauncher(paths, Config(), nat)
    return Bench(paths, spec, machine, driver, nat, launcher, ports, [])


@pytest.fixture(autouse=True)
def _paper() -> Iterator[None]:
    with registered(ScriptedDriver.info):
        yield


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Plays a scenario with a bench, whose VM is on the bridge unless ``network`` says "user"."""

    def play(scene: Callable[[Bench], Any], network: str = "bridge") -> None:
        async def scenario() -> None:
            async with asyncio.timeout(SECONDS):
                bench = bench_in(tmp_path, monkeypatch, network)
                try:
                    await scene(bench)
                finally:
                    bench.ports.release()

        asyncio.run(scenario())

    return play


Played = Callable[..., None]


def test_launch_makes_what_is_missing_and_writes_the_handle(played: Played) -> None:
    async def scene(bench: Bench) -> None:
        running = await bench.launch()
        (spec,) = bench.driver.specs
        assert {drive.path.exists() for drive in spec.drives.devices()} == {True}
        assert spec.drives.rootfs.read_bytes() == b"image"
        assert b"hostname=beta" in spec.initrd.read_bytes()
        assert (bench.state / files.KNOWN_HOSTS).read_text().startswith(bench.spec.vm.id)
        vm_id = bench.spec.vm.id
        names = f"beta.vm,{vm_id}.vm,{vm_id},10.9.0.2 ssh-ed25519 "
        assert bench.paths.known_hosts.read_text().startswith(names)
        assert spec.network.tap == f"tap-{bench.spec.vm.id[:4]}"
        assert (running.access.host, running.access.port) == ("10.9.0.2", 22)
        assert (running.handle.process, running.handle.console_start) == (
            bench.machine.process, bench.machine.console_start,
        )  # fmt: skip
        assert (bench.run / files.HANDLE).exists()
        assert bench.machine.told == ["attach"]
        assert not bench.port_is_free(), "on the bridge a socket keeps others from the port"

    played(scene)


def test_vmm_of_a_guest_in_user_mode_gets_the_published_ports(played: Played) -> None:
    async def scene(bench: Bench) -> None:
        running = await bench.launch()
        assert bench.machine.user_network
        assert bench.machine.user_network.forwards == [bench.published]
        assert running.handle.publish == bench.spec.vm.publish
        assert bench.port_is_free(), "the VMM is to bind it"

    played(scene, "user")


def test_published_port_that_is_taken_is_refused_before_anything_is_made(played: Played) -> None:
    async def scene(bench: Bench) -> None:
        with socket.create_server((HOST, bench.published)):
            error = await bench.fails()
        assert error.code is Code.CONFLICT
        assert not bench.state.exists()
        assert bench.driver.specs == []
        await bench.assert_nothing_runs()

    played(scene)


def test_network_that_cannot_be_had_leaves_nothing_running(played: Played) -> None:
    async def scene(bench: Bench) -> None:
        bench.nat.trouble = BangerError(Code.UNAVAILABLE, "nat is not there")
        assert await bench.fails() is bench.nat.trouble
        assert bench.driver.specs == []
        await bench.assert_nothing_runs()

    played(scene)


@pytest.mark.parametrize("content", [None, "{"])
def test_kernel_that_is_gone_or_damaged_leaves_nothing_running(
    played: Played, content: str | None
) -> None:
    async def scene(bench: Bench) -> None:
        manifest = Path(bench.spec.kernel) / "manifest.json"
        manifest.unlink()
        if content:
            manifest.write_text(content)
        error = await bench.fails()
        assert error.code is Code.NOT_FOUND
        assert bench.spec.kernel in error.message
        assert bench.driver.specs == []
        await bench.assert_nothing_runs()

    played(scene)


def test_tool_that_is_missing_leaves_nothing_running(played: Played) -> None:
    async def scene(bench: Bench) -> None:
        bench.driver.missing = BangerError(Code.MISSING_TOOL, "paper-vmm is not installed")
        assert await bench.fails() is bench.driver.missing
        assert bench.driver.specs == []
        await bench.assert_nothing_runs()

    played(scene)


def test_vm_that_has_run_gets_no_empty_disk_for_one_that_is_lost(played: Played) -> None:
    async def scene(bench: Bench) -> None:
        state = bench.state
        state.mkdir(parents=True, mode=0o700)
        (state / files.CONSOLE_LOG).touch()
        error = await bench.fails()
        assert error.code is Code.NOT_FOUND
        assert str(state / files.OVERLAY) in error.message
        assert not (state / files.WORK_DISK).exists()
        await bench.assert_nothing_runs()

    played(scene)


def test_launch_that_failed_can_be_made_again(played: Played) -> None:
    async def scene(bench: Bench) -> None:
        bench.driver.missing = BangerError(Code.MISSING_TOOL, "paper-vmm is not installed")
        await bench.fails()
        bench.driver.missing = None
        running = await bench.launch()
        assert running.handle.vm_id == bench.spec.vm.id

    played(scene)


def test_vmm_that_refuses_its_machine_is_ended_and_leaves_no_handle(played: Played) -> None:
    async def scene(bench: Bench) -> None:
        bench.machine.trouble = BangerError(Code.GUEST_FAILED, "no such CPU")
        assert await bench.fails() is bench.machine.trouble
        assert bench.machine.told == ["attach", "SIGKILL", "ended", "close"]
        await bench.assert_nothing_runs()

    played(scene)


def test_vmm_without_a_handle_is_ended_as_nobody_would_find_it_again(played: Played) -> None:
    async def scene(bench: Bench) -> None:
        bench.driver.on_launch = lambda spec: shutil.rmtree(spec.run)
        with pytest.raises((OSError, BangerError)):
            await bench.launch()
        assert bench.machine.told == ["SIGKILL", "ended", "close"]
        await bench.assert_nothing_runs()

    played(scene)


def test_launch_that_is_cancelled_ends_its_vmm(played: Played) -> None:
    async def scene(bench: Bench) -> None:
        bench.machine.attached.clear()
        launching = asyncio.create_task(bench.launch())
        await bench.machine.attaching.wait()
        assert (bench.run / files.HANDLE).exists(), "a successor would find it"
        launching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await launching
        assert bench.machine.told == ["attach", "SIGKILL", "ended", "close"]
        await bench.assert_nothing_runs()

    played(scene)


def test_vmm_that_does_not_end_is_not_waited_for_long(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "KILL_SECONDS", 0.01)

    async def scene(bench: Bench) -> None:
        bench.machine.stuck = True
        bench.machine.trouble = BangerError(Code.GUEST_FAILED, "no such CPU")
        assert await bench.fails() is bench.machine.trouble
        assert bench.machine.told == ["attach", "SIGKILL", "close"]

    played(scene)


def test_ssh_port_that_is_taken_meanwhile_is_replaced_once(played: Played) -> None:
    takers: list[socket.socket] = []

    def take(spec: MachineSpec) -> None:
        if not takers:
            takers.append(socket.create_server((HOST, spec.network.access_port)))
            raise PortTaken(Code.CONFLICT, "the port is taken")

    async def scene(bench: Bench) -> None:
        bench.driver.on_launch = take
        running = await bench.launch()
        takers[0].close()
        first, second = (spec.network.access_port for spec in bench.driver.specs)
        assert first != second
        assert running.access.port == second

    played(scene, "user")


def test_ssh_port_that_is_taken_again_is_told(played: Played) -> None:
    def refuse(_spec: MachineSpec) -> None:
        raise PortTaken(Code.CONFLICT, "the port is taken")

    async def scene(bench: Bench) -> None:
        bench.driver.on_launch = refuse
        error = await bench.fails()
        assert error.code is Code.CONFLICT
        assert len(bench.driver.specs) == 2
        await bench.assert_nothing_runs()

    played(scene, "user")


def test_vmm_that_is_adopted_is_attached_to_and_keeps_its_handle(played: Played) -> None:
    async def scene(bench: Bench) -> None:
        launched = await bench.launch()
        adopted = await bench.launcher.adopt(launched.handle)
        assert adopted.handle is launched.handle
        assert bench.machine.told == ["attach", "attach"]

    played(scene)
