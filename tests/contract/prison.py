"""An ordinary user's services with root's nat beside them, and one VM to jail."""

import asyncio
import errno
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from services.vm_supervisor.disks.layout import ensure_overlay
from services.vm_supervisor.drivers.contract import Drives, MachineSpec, VmPlace
from services.vm_supervisor.drivers.firecracker.api import call
from services.vm_supervisor.drivers.firecracker.driver import FirecrackerMachine
from services.vm_supervisor.drivers.firecracker.jail import JailingDriver
from services.vm_supervisor.drivers.firecracker.requests import ApiRequest
from services.vm_supervisor.network.modes import bridge_network
from shared.bus.envelope import Kind
from shared.config import FirecrackerConfig
from shared.errors import BangerError
from shared.host.cgroup import release, support
from shared.host.process import ProcessId
from shared.paths import Paths
from shared.vm import files
from shared.vm.jail import SPAN
from shared.vmm.accelerator import Accel, Accelerator, kvm_obstacle
from shared.vmm.search import find_vmm
from tests.integration.peer import Silence
from tests.integration.users import ONE, User, users_python
from tests.waiting import eventually

VM = os.urandom(6).hex()
UIDS = SPAN.start + os.getpid() % 400_000 * 256
"""Of this run alone, as the id: jails are found in the list of all processes of the machine."""
IMAGE, KERNEL = "a" * 16, "b" * 16
DOWN = "stopped"

NEEDED = [
    pytest.mark.e2e,
    pytest.mark.timeout(120),
    pytest.mark.skipif(os.geteuid() != 0, reason="users, namespaces and jails need root"),
    pytest.mark.skipif(kvm_obstacle() is not None, reason=f"no KVM: {kvm_obstacle()}"),
    pytest.mark.skipif(
        os.geteuid() == 0 and users_python() is None,
        reason="no interpreter that an ordinary user could run",
    ),
]


@dataclass
class Prison:
    """User one's services with root's nat, one VM of theirs, and where the jails are."""

    one: User
    two: User
    root: Path
    tools: Path
    jails: Path

    def configure_nat(self, jailer: str = "jailer") -> None:
        (self.root / "config.toml").write_text(
            f'firecracker_bin = "{self.tools}/firecracker"\n[firecracker]\n'
            f'jailer_bin = "{self.tools / jailer}"\n'
            f'jail_directory = "{self.jails}"\njail_uids = {UIDS}\n'
        )

    def start_nat(self) -> None:
        self.one.start_nat(self.root)
        eventually(lambda: "nat" in self.one.stack.registered())

    def restart_nat(self) -> None:
        self.one.stack.kill("nat")
        self.start_nat()

    @contextmanager
    def other_jailer(self, jailer: str) -> Iterator[None]:
        """Inside, nat is one that runs ``jailer``."""
        try:
            self.configure_nat(jailer)
            self.restart_nat()
            yield
        finally:
            self.configure_nat()
            self.restart_nat()

    def call(self, service: str, verb: str, **body: Any) -> dict[str, Any]:
        return self.one.stack.call(service, verb, **body)

    def ping(self, service: str) -> dict[str, Any]:
        with self.one.stack.peer() as peer:
            return peer.final(peer.ask(service, "", kind=Kind.PING))

    def refusal(self, service: str, verb: str, **body: Any) -> BangerError:
        with pytest.raises(BangerError) as caught:
            self.call(service, verb, **body)
        return caught.value

    def become(self, state: str) -> None:
        self.call("store", "vm.update", id=VM, state=state)

    async def jail(self, vm_id: str, bases: Sequence[str]) -> ProcessId:
        """As ``Jailer``."""
        self.give_to_the_user()
        return ProcessId(
            **await asyncio.to_thread(self.call, "nat", "nat.jail", id=vm_id, bases=list(bases))
        )

    async def signal(self, vm_id: str, signum: signal.Signals) -> None:
        """As ``Jailer``."""
        await asyncio.to_thread(self.call, "nat", "nat.unjail", id=vm_id, signal=signum)

    @property
    def driver(self) -> JailingDriver:
        config = FirecrackerConfig(jailer=True, metrics=True)
        return JailingDriver(str(self.tools / "firecracker"), config, self)

    @property
    def run(self) -> Path:
        return self.one.paths.vm_run(VM)

    @property
    def state(self) -> Path:
        return self.one.paths.vm_state(VM)

    @property
    def place(self) -> VmPlace:
        return VmPlace(VM, self.run, self.state)

    @property
    def sockets(self) -> Path:
        return self.run / files.JAIL

    @property
    def spec(self) -> MachineSpec:
        data = self.one.paths.data
        kernel = data / "kernels" / KERNEL
        return MachineSpec(
            place=self.place,
            vcpus=1,
            memory_mib=256,
            accelerator=Accelerator(Accel.KVM, "the test wants it"),
            kernel=kernel,
            initrd=self.run / files.INITRD,
            drives=Drives(
                rootfs=data / "images" / IMAGE / "rootfs.squashfs",
                overlay=self.state / files.OVERLAY,
                work=self.state / files.WORK_DISK,
                modules=kernel / "modules.squashfs",
            ),
            network=bridge_network(VM, f"bgr{VM}", "10.77.0.2/24", "10.77.0.1", ("10.77.0.1",)),
        )

    async def launch(self, saved: Path | None = None) -> FirecrackerMachine:
        await asyncio.to_thread(self.call, "nat", "nat.attach", id=VM)
        return await self.driver.launch(self.spec, saved)

    @asynccontextmanager
    async def launched(self, saved: Path | None = None) -> AsyncIterator[FirecrackerMachine]:
        """Launched and not attached; ended with the block."""
        machine = await self.launch(saved)
        try:
            yield machine
        finally:
            machine.kill()
            await machine.ended()
            await machine.close()

    async def ask(self, request: ApiRequest) -> Any:
        return await call(self.sockets / files.API_SOCKET, request)

    def give_to_the_user(self) -> None:
        """What the supervisor would have made belongs to the user."""
        for path in (self.one.paths.state / "vms", self.one.paths.run / "vms"):
            for each in (path, *path.rglob("*")):
                os.chown(each, ONE, ONE, follow_symlinks=False)

    def leftovers(self) -> list[str]:
        """Of jails: directories, mounts, control groups, processes."""
        ours = str(self.jails)
        mounted = Path("/proc/mounts").read_text().splitlines()
        mounts = [line for line in mounted if ours in line]
        base = support().base
        groups = base.glob(f"banger/{VM}") if base else ()
        found = find_vmm(VM)
        directories = (path.parent for path in self.jails.glob("*/*/*/root"))
        return [*mounts, *map(str, (*groups, *directories)), *([str(found)] if found else [])]

    def expect_nothing_left(self) -> None:
        try:
            eventually(lambda: not self.leftovers())
        except AssertionError as error:
            logs = "".join(path.read_text() for path in self.root.glob("logs/*.log"))
            raise AssertionError(f"left: {self.leftovers()}; nat said:\n{logs}") from error

    def clear(self) -> None:
        """Whatever the test did, so that the next one fails of its own faults alone."""
        if (left := find_vmm(VM)) is not None:
            with suppress(ProcessLookupError):
                os.kill(left.process.pid, signal.SIGKILL)
        for directory in (self.state, self.run, self.one.paths.data, *self.jails.glob("*/*/*")):
            shutil.rmtree(directory, ignore_errors=True)
        release(VM)
        with suppress(BangerError, Silence):  # there may be no row, or no store any more
            self.become(DOWN)
            self.call("store", "vm.remove", id=VM)


def publish(one: User) -> None:
    """A kernel, and something in a root filesystem's place, as the user's own."""
    source = (Paths.from_environment().kernels / "by-name" / "debian-bookworm").resolve()
    image, kernel = one.paths.images / IMAGE, one.paths.kernels / KERNEL
    assert one.can("mkdir", "-p", str(image), str(kernel))
    for name, target in (
        ("manifest.json", kernel / "manifest.json"),
        ("initrd-modules.cpio", kernel / "initrd-modules.cpio"),
        ("vmlinux", kernel / "vmlinux"),
        ("modules.squashfs", kernel / "modules.squashfs"),
        ("modules.squashfs", image / "rootfs.squashfs"),
    ):
        _link_or_copy(source / name, target)
    manifest = {"rootfs": {"file": "rootfs.squashfs", "sha256": "0" * 64}}
    (image / "manifest.json").write_text(json.dumps(manifest))


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno != errno.EXDEV:  # the user's home may be on another file system
            raise
        shutil.copy(source, target)


def make_vm(prison: Prison) -> None:
    for directory in (prison.state, prison.run):
        directory.mkdir(parents=True, mode=0o700)
    for name in ("overlay", "work"):
        ensure_overlay(prison.state / f"{name}.ext4", 64 << 20)
    (prison.run / files.INITRD).write_bytes(b"secret")
    (prison.run / files.INITRD).chmod(0o600)
    prison.give_to_the_user()
    prison.one.stack.reserve(
        VM,
        "alpha",
        image_id=IMAGE,
        kernel_id=KERNEL,
        memory_mib=256,
        vmm="firecracker",
        network="bridge",
        subnet="10.77.0.0/24",
    )
