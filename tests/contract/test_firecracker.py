"""Truth about Firecracker's API, from the real binary: all we ask of it, and how it refuses.

No guest needs to run for this, only KVM to be there to be opened; what guests do under it is
smoke-kvm's to show. Each test is a network namespace of its own, since the binary wants a tap.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from services.vm_supervisor.disks.layout import ensure_overlay
from services.vm_supervisor.drivers.contract import Drives, ExitReason, MachineSpec, VmPlace
from services.vm_supervisor.drivers.firecracker.api import ApiRefusal, call
from services.vm_supervisor.drivers.firecracker.driver import FirecrackerDriver, FirecrackerMachine
from services.vm_supervisor.drivers.firecracker.requests import PAUSE, RESUME, START, ApiRequest
from services.vm_supervisor.network.modes import bridge_network
from shared.config import FirecrackerConfig
from shared.errors import BangerError, Code
from shared.host.process import start_time
from shared.paths import Paths
from shared.vm import files
from shared.vmm.accelerator import Accel, Accelerator, kvm_obstacle
from tests.integration.namespaces import Namespace

VM_ID = os.urandom(6).hex()
"""Of this run alone: a VMM is found by it in the list of all processes."""
TAP = f"bgr{VM_ID}"
DESCRIBE = ApiRequest("GET", "/", {})

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(120),
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
    pytest.mark.skipif(kvm_obstacle() is not None, reason=f"no KVM: {kvm_obstacle()}"),
]


@dataclass
class Bench:
    """A driver with limits and metrics, a VM's files, and the namespace that has its tap."""

    program: str
    spec: MachineSpec
    place: Namespace

    @property
    def driver(self) -> FirecrackerDriver:
        config = FirecrackerConfig(
            metrics=True, disk_mib_per_second=100, disk_operations_per_second=1000,
            network_mib_per_second=10,
        )  # fmt: skip
        return FirecrackerDriver(self.program, config)

    @asynccontextmanager
    async def launched(
        self, spec: MachineSpec | None = None, saved: Path | None = None
    ) -> AsyncIterator[FirecrackerMachine]:
        """Launched and not attached; ended with the block."""
        machine = await self.driver.launch(spec or self.spec, saved)
        try:
            yield machine
        finally:
            machine.kill()
            await machine.ended()
            await machine.close()

    async def ask(self, request: ApiRequest, spec: MachineSpec | None = None) -> Any:
        return await call((spec or self.spec).run / files.API_SOCKET, request)

    @asynccontextmanager
    async def running(self, spec: MachineSpec | None = None) -> AsyncIterator[FirecrackerMachine]:
        async with self.launched(spec) as machine:
            await machine.attach()
            yield machine

    async def save(self, machine: FirecrackerMachine, name: str = "kept") -> Path:
        target = self.spec.state / name
        target.mkdir()
        await machine.pause()
        assert await machine.save(target) == "file"
        await machine.collect(target)
        return target

    async def saved(self) -> Path:
        """A saved machine, and no VMM any more."""
        async with self.running() as machine:
            return await self.save(machine)

    def other(self, vm_id: str) -> MachineSpec:
        """Another VM, with disks and a tap of its own. Called inside the namespace."""
        run = self.spec.run / vm_id
        run.mkdir()
        drives, network = self.spec.drives, self.spec.network
        for path in (drives.overlay, drives.work):
            shutil.copy(path, run)
        # Called in the namespace's own thread, which cannot wait for itself.
        subprocess.run(["ip", "tuntap", "add", f"bgr{vm_id}", "mode", "tap"], check=True)
        return replace(
            self.spec,
            place=VmPlace(vm_id, run, run),
            drives=replace(drives, overlay=run / drives.overlay.name, work=run / drives.work.name),
            network=replace(network, tap=f"bgr{vm_id}"),
        )


@pytest.fixture
def bench(tools: Path) -> Iterator[Bench]:
    place = Namespace()
    place.sh(f"ip tuntap add {TAP} mode tap")
    with tempfile.TemporaryDirectory(prefix="bgr") as root:
        yield Bench(str(tools / "firecracker"), _spec(Path(root)), place)
    place.close()


def _spec(root: Path) -> MachineSpec:
    kernel = Paths.from_environment().kernels / "by-name" / "debian-bookworm"
    for name in ("overlay", "work"):
        ensure_overlay(root / f"{name}.ext4", 64 << 20)
    (root / files.INITRD).write_bytes(b"")
    return MachineSpec(
        place=VmPlace(VM_ID, root, root),
        vcpus=1,
        memory_mib=128,
        accelerator=Accelerator(Accel.KVM, "the test wants it"),
        kernel=kernel.resolve(),
        initrd=kernel / "initrd-modules.cpio",
        drives=Drives(
            rootfs=kernel / "modules.squashfs",
            overlay=root / files.OVERLAY,
            work=root / files.WORK_DISK,
            modules=kernel / "modules.squashfs",
        ),
        network=bridge_network(VM_ID, TAP, "10.77.0.2/24", "10.77.0.1", ("10.77.0.1",)),
    )


Test = Callable[[Bench], Awaitable[None]]


def contract(test: Test) -> Callable[[Bench], None]:
    """Run the coroutine inside the bench's namespace; pytest sees an ordinary test."""

    def run(bench: Bench) -> None:
        bench.place.run(lambda: asyncio.run(test(bench)))  # type: ignore[arg-type]

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


async def refusal(action: Awaitable[object]) -> BangerError:
    with pytest.raises(BangerError) as caught:
        await action
    return caught.value


@contract
async def test_everything_asked_for_a_vm_is_granted(bench: Bench) -> None:
    bench.driver.prepare(bench.spec)
    async with bench.launched() as machine:
        await machine.attach()
        described = await bench.ask(DESCRIBE)
        assert described["state"] == "Running"
        assert described["id"] == f"banger-{VM_ID}"
        whole = await bench.ask(ApiRequest("GET", "/vm/config", {}))
        assert [drive["drive_id"] for drive in whole["drives"]] == [
            "rootfs", "overlay", "work", "modules",
        ]  # fmt: skip
        assert {drive["cache_type"] for drive in whole["drives"]} == {"Writeback"}
        assert whole["network-interfaces"][0]["tx_rate_limiter"]["bandwidth"]["size"] == 10 << 20


@contract
async def test_pause_and_resume_are_seen_in_its_state(bench: Bench) -> None:
    async with bench.launched() as machine:
        await machine.attach()
        await machine.pause()
        assert (await bench.ask(DESCRIBE))["state"] == "Paused"
        await machine.resume()
        assert (await bench.ask(DESCRIBE))["state"] == "Running"


@contract
async def test_sigterm_ends_it_and_everyone_is_told(bench: Bench) -> None:
    async with bench.launched() as machine:
        await machine.attach()
        machine.kill(signal.SIGTERM)
        assert (await machine.ended()).reason is ExitReason.KILLED
        assert start_time(machine.process.pid) is None
        assert (await refusal(machine.pause())).code is Code.NOT_RUNNING
        machine.kill()  # nothing happens


@contract
async def test_closed_machine_goes_on_and_is_adopted(bench: Bench) -> None:
    async with bench.launched() as first:
        await first.attach()
        second = bench.driver.adopt(bench.spec.place, first.process, 0)
        await second.attach()
        await second.pause()
        assert (await bench.ask(DESCRIBE))["state"] == "Paused"
        await second.close()


@contract
async def test_one_that_was_never_started_is_not_adopted_but_ended(bench: Bench) -> None:
    async with bench.launched() as first:
        second = bench.driver.adopt(bench.spec.place, first.process, 0)
        assert (await refusal(second.attach())).code is Code.NOT_RUNNING
        assert start_time(first.process.pid) is None
        await second.close()


@contract
async def test_sockets_left_by_an_earlier_one_are_no_obstacle(bench: Bench) -> None:
    for _ in range(2):
        async with bench.launched() as machine:
            await machine.attach()
        assert (bench.spec.run / files.AGENT_SOCKET).exists()


@contract
async def test_vsock_is_refused_for_a_socket_in_its_way_and_not_for_a_reserved_id(
    bench: Bench,
) -> None:
    """The socket outlives its Firecracker: the same request may be granted once per machine."""
    request = ApiRequest("PUT", "/vsock", {"guest_cid": 2, "uds_path": f"{bench.spec.run}/v.sock"})
    async with bench.launched() as machine:
        await machine._described()
        await bench.ask(request)
    async with bench.launched() as machine:
        await machine._described()
        error = await refusal(bench.ask(request))
    assert "Address in use" in error.details["fault_message"]


@contract
async def test_a_drive_that_vanished_is_named(bench: Bench) -> None:
    async with bench.launched() as machine:
        bench.spec.drives.work.unlink()
        error = await refusal(machine.attach())
    assert error.code is Code.GUEST_FAILED
    assert "/drives/work" in error.message
    assert "disks/work" in error.message
    assert "vmm.log" in error.hint


@contract
async def test_a_tap_that_is_not_ours_is_refused(bench: Bench) -> None:
    spec = replace(bench.spec, network=replace(bench.spec.network, tap="no-such-tap-at-all"))
    async with bench.launched(spec) as machine:
        assert "/network-interfaces/net0" in (await refusal(machine.attach())).message


@contract
async def test_too_many_processors_are_refused_before_anything_is_started(bench: Bench) -> None:
    with pytest.raises(BangerError) as caught:
        bench.driver.prepare(replace(bench.spec, vcpus=33))
    assert caught.value.code is Code.INVALID
    assert "32" in caught.value.message


@contract
async def test_a_path_that_is_too_long_for_a_socket_is_told_with_its_last_words(
    bench: Bench,
) -> None:
    deep = bench.spec.run / ("d" * 100)
    deep.mkdir()
    place = replace(bench.spec.place, run=deep)
    machine = await bench.driver.launch(replace(bench.spec, place=place))
    error = await refusal(machine.attach())
    await machine.close()
    assert error.code is Code.GUEST_FAILED
    assert "socket" in error.message.lower() or "SUN_LEN" in error.message


@contract
async def test_a_program_that_dies_at_once_leaves_its_last_words(bench: Bench) -> None:
    broken = bench.spec.run / "firecracker"
    broken.write_text("#!/bin/sh\necho first >&2\necho no memory today >&2\nexit 1\n")
    broken.chmod(0o755)
    driver = FirecrackerDriver(str(broken), FirecrackerConfig())
    machine = await driver.launch(bench.spec)
    error = await refusal(machine.attach())
    assert (await machine.ended()).reason is ExitReason.CRASHED
    await machine.close()
    assert "no memory today" in error.message


MISSING = "/no/such/directory"
"""Where no request can make anything: a file of one run must not be why the next one is refused."""
REFUSED = [
    ApiRequest("PUT", "/machine-config", {"vcpu_count": 0, "mem_size_mib": 256, "smt": False}),
    ApiRequest("PUT", "/machine-config", {"vcpu_count": 33, "mem_size_mib": 256, "smt": False}),
    ApiRequest("PUT", "/machine-config", {"vcpu_count": 1, "mem_size_mib": 0, "smt": False}),
    ApiRequest("PUT", "/machine-config", {"vcpu_count": 1}),
    ApiRequest("PUT", "/boot-source", {"kernel_image_path": f"{MISSING}/kernel"}),
    ApiRequest("PUT", "/drives/work", {"drive_id": "other", "path_on_host": "/dev/null",
            "is_root_device": False, "is_read_only": True}),
    ApiRequest("PUT", "/network-interfaces/net0", {"iface_id": "net0", "host_dev_name": TAP,
            "guest_mac": "not an address"}),
    ApiRequest("PUT", "/vsock", {"guest_cid": 3, "uds_path": f"{MISSING}/agent.sock"}),
    ApiRequest("PUT", "/balloon", {"amount_mib": "much", "deflate_on_oom": True}),
    ApiRequest("PUT", "/metrics", {"metrics_path": f"{MISSING}/metrics"}),
    ApiRequest("PUT", "/no-such-thing", {}),
    START,  # nothing to boot yet
    PAUSE,
    RESUME,
]  # fmt: skip


def test_no_bad_request_can_leave_anything_on_this_machine() -> None:
    values = [value for request in REFUSED for value in request.body.values()]
    paths = {value for value in values if isinstance(value, str) and value.startswith("/")}
    assert all(path.startswith(f"{MISSING}/") for path in paths - {"/dev/null"})
    assert not Path(MISSING).exists()


def test_each_bad_request_comes_back_as_our_error_and_harms_nothing(bench: Bench) -> None:
    async def scenario() -> None:
        async with bench.launched() as machine:
            await machine._described()
            for request in REFUSED:
                error = await refusal(bench.ask(request))
                assert isinstance(error, ApiRefusal), request
                assert error.details["fault_message"], request
            assert (await bench.ask(DESCRIBE))["state"] == "Not started"
            await machine.attach()  # it can be made and started all the same
            assert isinstance(await refusal(bench.ask(START)), ApiRefusal), "twice"

    bench.place.run(lambda: asyncio.run(scenario()))
