"""What every driver does, asked of the scripted QEMU and of the real one.

What the scripted one is trusted for elsewhere is proved here: both pass the same tests. The real
one is emulated and boots the default image and kernel, which must have been built (``e2e``).
"""

import asyncio
import contextlib
import os
import signal
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from services.vm_supervisor.disks.layout import ensure_overlay, ensure_work_disk
from services.vm_supervisor.drivers.contract import (
    ExitReason,
    Machine,
    MachineSpec,
    VmPlace,
)
from services.vm_supervisor.drivers.qemu.driver import QemuDriver
from services.vm_supervisor.guest.agent import Agent
from services.vm_supervisor.guest.listeners import Listeners
from services.vm_supervisor.guest.ssh import ensure_key
from services.vm_supervisor.launch.drives import drives_of
from services.vm_supervisor.launch.initrd import GuestIdentity, write_initrd
from services.vm_supervisor.network.modes import Forward, user_network
from shared.errors import BangerError, Code
from shared.host.process import start_time
from shared.paths import Paths
from shared.vm import files
from shared.vm.manifest import read_manifest
from shared.vmm.accelerator import Accel, Accelerator
from shared.vmm.qemu.tsc import host_tsc_khz
from tests import loopback
from tests.scripted import shelf

BOOT_SECONDS = 120.0
HOST = loopback.address(77)
VM = os.urandom(6).hex()
"""Of this run alone: a VMM is found by it in the list of all processes."""


@dataclass
class Bench:
    """A driver and a guest for it."""

    driver: QemuDriver
    spec: MachineSpec

    @asynccontextmanager
    async def running(self, spec: MachineSpec | None = None) -> AsyncIterator[Machine]:
        """A launched VM with its control connected; ended with the block."""
        machine = await self.driver.launch(spec or self.spec)
        try:
            await machine.attach()
            yield machine
        finally:
            machine.kill()
            await machine.ended()
            await machine.close()


@pytest.fixture(params=["scripted", pytest.param("qemu", marks=pytest.mark.e2e)])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="bngr") as root:
        if request.param == "qemu":
            driver, paths = QemuDriver(), Paths.from_environment()
        else:
            paths = Paths(*(Path(root, name) for name in ("c", "data", "s", "r")))
            shelf.stock(paths)
            driver = QemuDriver(str(shelf.install(Path(root, "bin"))))
        yield Bench(driver, _spec(Path(root), paths))


def _spec(root: Path, paths: Paths) -> MachineSpec:
    """A guest with everything that the supervisor gives one."""
    image, kernel = (each / "by-name" / shelf.NAME for each in (paths.images, paths.kernels))
    network = user_network(VM, HOST, _free_port(), nat=False)
    host_key = ensure_key(root / files.HOST_KEY)
    version, drives = read_manifest(kernel)["version"], drives_of(image, kernel, root)
    identity = GuestIdentity(
        "contract",
        "0" * 32,
        host_key.private,
        host_key.public,
        version,
        network,
        "virtio-serial",
        drives,
    )
    write_initrd(root / files.INITRD, kernel / "initrd-modules.cpio", identity)
    ensure_overlay(root / files.OVERLAY, 64 << 20)
    ensure_work_disk(root / files.WORK_DISK, 64 << 20)
    return MachineSpec(
        place=VmPlace(VM, root, root),
        vcpus=1,
        memory_mib=512,
        accelerator=Accelerator(Accel.TCG, "the test wants it", host_tsc_khz()),
        kernel=kernel,
        initrd=root / files.INITRD,
        drives=drives,
        network=network,
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


Test = Callable[[Bench], Awaitable[None]]


def contract(test: Test) -> Callable[[Bench], None]:
    """Run the coroutine; pytest sees an ordinary test."""

    def run(bench: Bench) -> None:
        asyncio.run(test(bench))  # type: ignore[arg-type]

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return pytest.mark.timeout(BOOT_SECONDS + 60)(run)


async def _agent(machine: Machine) -> Agent:
    return await Agent.connect(machine.agent, time.monotonic() + BOOT_SECONDS)


def _soon() -> float:
    return time.monotonic() + 30


def _reachable(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((HOST, port)) == 0


async def _refusal(action: Awaitable[object]) -> BangerError:
    with pytest.raises(BangerError) as caught:
        await action
    return caught.value


@contract
async def test_launch_returns_a_process_that_can_be_recognised(bench: Bench) -> None:
    bench.driver.prepare(bench.spec)
    async with bench.running() as machine:
        assert start_time(machine.process.pid) == machine.process.start_time
        assert machine.console_start == 0
        assert (bench.spec.run / files.CONSOLE_SOCKET).is_socket()


@contract
async def test_killed_machine_says_so_to_everyone_who_waits(bench: Bench) -> None:
    async with bench.running() as machine:
        waiting = [asyncio.create_task(machine.ended()) for _ in range(2)]
        machine.kill()
        ends = [await task for task in (*waiting, asyncio.create_task(machine.ended()))]
        assert [end.reason for end in ends] == [ExitReason.KILLED] * 3
        assert start_time(machine.process.pid) is None


@contract
async def test_sigterm_ends_the_machine(bench: Bench) -> None:
    async with bench.running() as machine:
        machine.kill(signal.SIGTERM)
        assert (await machine.ended()).reason is ExitReason.KILLED
        assert not (bench.spec.run / files.CONSOLE_SOCKET).exists()


@contract
async def test_everything_is_refused_after_the_end(bench: Bench) -> None:
    forward = Forward("tcp", HOST, _free_port(), 80)
    async with bench.running() as machine:
        machine.kill()
        await machine.ended()
        network = machine.user_network
        assert network
        for action in (machine.pause(), machine.resume(), network.add_forward(forward)):
            assert (await _refusal(action)).code is Code.NOT_RUNNING
        machine.kill()  # nothing happens


@contract
async def test_machine_that_dies_at_once_leaves_its_last_words(bench: Bench) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        network = user_network(VM, HOST, taken.getsockname()[1], nat=False)
        machine = await bench.driver.launch(replace(bench.spec, network=network))
        try:
            error = await _refusal(machine.attach())
            assert (await machine.ended()).reason is ExitReason.CRASHED
        finally:
            machine.kill()
            await machine.close()
    assert error.code is Code.GUEST_FAILED
    assert "Could not set up host forwarding rule" in error.message
    assert str(bench.spec.state / files.VMM_LOG) in error.hint


@contract
async def test_closed_machine_goes_on_and_is_adopted(bench: Bench) -> None:
    first = await bench.driver.launch(bench.spec)
    process = first.process
    try:
        await first.attach()
    except BaseException:
        first.kill()
        raise
    finally:
        await first.close()
    second = bench.driver.adopt(bench.spec.place, process, first.console_start)
    try:
        await second.attach()
        await second.pause()
    finally:
        second.kill()
        end = await second.ended()
        await second.close()
    assert end.reason in (ExitReason.UNKNOWN, ExitReason.KILLED)


@contract
async def test_process_that_is_gone_is_not_adopted(bench: Bench) -> None:
    async with bench.running() as machine:
        machine.kill()
        await machine.ended()
    with pytest.raises(BangerError) as caught:
        bench.driver.adopt(bench.spec.place, machine.process, 0)
    assert caught.value.code is Code.NOT_RUNNING


@contract
async def test_forwards_come_and_go_while_it_runs(bench: Bench) -> None:
    forward = Forward("tcp", HOST, _free_port(), 22)
    async with bench.running() as machine:
        network = machine.user_network
        assert network
        await network.add_forward(forward)
        assert _reachable(forward.port)
        assert (await _refusal(network.add_forward(forward))).code is Code.CONFLICT
        await network.remove_forward(forward)
        assert not _reachable(forward.port)


@contract
async def test_outside_is_opened_and_closed_any_number_of_times(bench: Bench) -> None:
    async with bench.running() as machine:
        assert machine.user_network
        for on in (True, True, False, False, True):
            await machine.user_network.set_uplink(on=on)


@contract
async def test_guest_answers_unless_paused_and_powers_off_when_asked(bench: Bench) -> None:
    async with bench.running() as machine:
        agent = await _agent(machine)
        boot = await agent.read_file("/proc/sys/kernel/random/boot_id", _soon())
        assert len(boot.strip()) == 36
        await machine.pause()
        late = await _refusal(agent.ping(time.monotonic() + 0.2))
        assert late.code is Code.TIMEOUT
        await machine.resume()
        await agent.ping(_soon())
        assert 22 in [port.port for port in await Listeners(agent, "tcp").ports(_soon())]
        await agent.write_file("/run/contract", b"kept", _soon())
        assert await agent.read_file("/run/contract", _soon()) == b"kept"
        missing = await _refusal(agent.read_file("/no/such/file", _soon()))
        assert missing.code is Code.NOT_FOUND
        ran = await agent.execute(["/bin/sh", "-c", "echo out; echo err >&2; exit 3"], _soon())
        assert (ran.status, ran.stdout, ran.stderr) == (3, b"out\n", b"err\n")
        end = asyncio.create_task(machine.ended())
        while not end.done():  # a request is lost while the guest has no init that listens
            with contextlib.suppress(BangerError):
                await agent.power_off(time.monotonic() + 3)
            await asyncio.wait([end], timeout=3)
        assert end.result().reason is ExitReason.POWEROFF
        agent.close()


@pytest.mark.parametrize("bench", ["qemu"], indirect=True)
@pytest.mark.e2e
@contract
async def test_a_table_of_sockets_that_is_read_again_is_the_one_of_now(bench: Bench) -> None:
    """Not what the agent's C library kept of it; and not what another agent's handle was for."""
    async with bench.running() as machine:
        agent = await _agent(machine)
        listeners = Listeners(agent, "tcp")
        assert 7777 not in [port.port for port in await listeners.ports(_soon())]
        second = "/usr/sbin/sshd -f /run/banger/sshd_config -p 7777 -o PidFile=none"
        await agent.execute(["/bin/sh", "-c", second], _soon())
        assert 7777 in [port.port for port in await listeners.ports(_soon())]
        listeners._handles = dict.fromkeys(listeners._handles, 999_999)
        assert 7777 in [port.port for port in await listeners.ports(_soon())]
        agent.close()


def test_prepare_names_the_program_that_is_missing(bench: Bench) -> None:
    with pytest.raises(BangerError) as caught:
        QemuDriver("no-such-qemu").prepare(bench.spec)
    assert caught.value.code is Code.MISSING_TOOL
    assert "no-such-qemu" in caught.value.message


def test_prepare_names_the_file_that_is_missing(bench: Bench) -> None:
    bench.spec.initrd.unlink()
    with pytest.raises(BangerError) as caught:
        bench.driver.prepare(bench.spec)
    assert caught.value.code is Code.NOT_FOUND
    assert str(bench.spec.initrd) in caught.value.message


@pytest.mark.parametrize("bench", ["scripted"], indirect=True)
def test_machine_that_ends_while_control_is_connected_tells_why(bench: Bench) -> None:
    """At that moment, which only the scripted one can be made to hit, and again and again."""

    async def launch_and_wait() -> ExitReason:
        async with bench.running() as machine:
            return (await machine.ended()).reason

    (bench.spec.state / "script").write_text("panic")
    assert [asyncio.run(launch_and_wait()) for _ in range(5)] == [ExitReason.PANIC] * 5
