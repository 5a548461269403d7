"""The real jailer and the real Firecracker, put together by root's nat for an ordinary user.

As in test_firecracker.py no guest needs to run. The user's services and nat are processes in a
network namespace of the test; the driver is the supervisor's, its warden asks nat by the bus.
"""

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from services.vm_supervisor.disks import create_overlay
from services.vm_supervisor.drivers.driver import Drives, EndReason, MachineSpec, Warden
from services.vm_supervisor.drivers.firecracker import FirecrackerMachine
from services.vm_supervisor.drivers.firecracker_api import call
from services.vm_supervisor.drivers.firecracker_jail import JailingDriver
from services.vm_supervisor.drivers.firecracker_requests import Request
from services.vm_supervisor.network import bridge_network
from shared.accelerator import Accel, Accelerator, kvm_obstacle
from shared.config import FirecrackerConfig
from shared.errors import BangerError, Code
from shared.paths import LONGEST_SOCKET, Paths
from shared.process import ProcessId, start_time
from shared.vmm import command_line, find_vmm, vmm_name
from tests.integration.namespaces import Namespace
from tests.integration.peer import Peer
from tests.integration.stack import eventually
from tests.integration.users import ONE, TWO, User, new_users, users_python

ROOT = Path(__file__).parents[2]
VM = "0123456789ab"
IMAGE, KERNEL = "a" * 16, "b" * 16
JAIL_UID = 2_000_000_002
"""The base, and the first address that guests get: 10.77.0.2."""
DESCRIBE = Request("GET", "/", {})
UP, DOWN = "running", "stopped"

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(120),
    pytest.mark.skipif(os.geteuid() != 0, reason="users, namespaces and jails need root"),
    pytest.mark.skipif(kvm_obstacle() is not None, reason=f"no KVM: {kvm_obstacle()}"),
    pytest.mark.skipif(
        os.geteuid() == 0 and users_python() is None,
        reason="no interpreter that an ordinary user could run",
    ),
]


@pytest.fixture(scope="session")
def tools() -> Path:
    """The directory of the pinned binaries; fetched once per machine."""
    done = subprocess.run([ROOT / "scripts" / "firecracker"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


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
            f'jailer_bin = "{self.tools}/{jailer}"\njail_directory = "{self.jails}"\n'
        )

    def start_nat(self) -> None:
        self.one.start_nat(self.root)
        eventually(lambda: "nat" in self.one.registered())

    def restart_nat(self) -> None:
        self.one.kill("nat")
        self.start_nat()

    def call(self, service: str, verb: str, **body: Any) -> dict[str, Any]:
        with Peer(self.one.paths.broker_socket, patience=20.0) as peer:
            return peer.call(service, verb, **body)

    def refusal(self, service: str, verb: str, **body: Any) -> BangerError:
        with pytest.raises(BangerError) as caught:
            self.call(service, verb, **body)
        return caught.value

    def become(self, state: str) -> None:
        self.call("store", "vm.update", id=VM, state=state)

    @property
    def warden(self) -> Warden:
        async def jail(vm_id: str) -> ProcessId:
            self.give_to_the_user()
            return ProcessId(**await asyncio.to_thread(self.call, "nat", "nat.jail", id=vm_id))

        async def unjail(vm_id: str, number: signal.Signals) -> None:
            await asyncio.to_thread(self.call, "nat", "nat.unjail", id=vm_id, signal=number)

        return Warden(jail, unjail)

    @property
    def driver(self) -> JailingDriver:
        config = FirecrackerConfig(jailer=True, metrics=True)
        return JailingDriver(str(self.tools / "firecracker"), config, self.warden)

    @property
    def run(self) -> Path:
        return self.one.paths.vm_run(VM)

    @property
    def state(self) -> Path:
        return self.one.paths.vm_state(VM)

    @property
    def sockets(self) -> Path:
        return self.run / "jail"

    @property
    def spec(self) -> MachineSpec:
        data = self.one.paths.data
        kernel = data / "kernels" / KERNEL
        return MachineSpec(
            vm_id=VM,
            vcpus=1,
            memory_mib=256,
            accelerator=Accelerator(Accel.KVM, "the test wants it"),
            kernel=kernel,
            initrd=self.run / "initrd",
            drives=Drives(
                rootfs=data / "images" / IMAGE / "rootfs.squashfs",
                overlay=self.state / "overlay.ext4",
                work=self.state / "work.ext4",
                modules=kernel / "modules.squashfs",
            ),
            network=bridge_network(VM, f"bgr{VM}", "10.77.0.2/24", "10.77.0.1", ("10.77.0.1",)),
            run=self.run,
            state=self.state,
        )

    async def launch(self) -> FirecrackerMachine:
        await asyncio.to_thread(self.call, "nat", "nat.attach", id=VM)
        return await self.driver.launch(self.spec)

    @asynccontextmanager
    async def launched(self) -> AsyncIterator[FirecrackerMachine]:
        """Launched and not attached; ended with the block."""
        machine = await self.launch()
        try:
            yield machine
        finally:
            machine.kill()
            await machine.ended()
            await machine.close()

    async def ask(self, request: Request) -> Any:
        return await call(self.sockets / "api.sock", request)

    def give_to_the_user(self) -> None:
        """What the supervisor would have made belongs to the user."""
        for path in (self.one.paths.state / "vms", self.one.paths.run / "vms"):
            for each in (path, *path.rglob("*")):
                os.chown(each, ONE, ONE, follow_symlinks=False)

    def leftovers(self) -> list[str]:
        """Of jails: directories, mounts, control groups, processes."""
        mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if "jail" in line]
        groups = Path("/sys/fs/cgroup").glob(f"**/banger/{VM}")
        found = find_vmm(VM)
        directories = (path.parent for path in self.jails.glob("*/*/*/root"))
        return [*mounts, *map(str, (*groups, *directories)), *([str(found)] if found else [])]


def _publish(one: User) -> None:
    """A kernel, and something in a root filesystem's place, as the user's own."""
    source = (Paths.from_environment().kernels / "by-name" / "debian-bookworm").resolve()
    image, kernel = one.paths.images / IMAGE, one.paths.kernels / KERNEL
    assert one.can("mkdir", "-p", str(image), str(kernel))
    for name, target in (
        ("vmlinux", kernel / "vmlinux"),
        ("modules.squashfs", kernel / "modules.squashfs"),
        ("modules.squashfs", image / "rootfs.squashfs"),
    ):
        target.hardlink_to(source / name)


def _make_vm(prison: Prison) -> None:
    for directory in (prison.state, prison.run):
        directory.mkdir(parents=True, mode=0o700)
    for name in ("overlay", "work"):
        create_overlay(prison.state / f"{name}.ext4", 64 << 20)
    (prison.run / "initrd").write_bytes(b"secret")
    (prison.run / "initrd").chmod(0o600)
    prison.give_to_the_user()
    prison.call(
        "store", "vm.reserve", id=VM, name="alpha", image_id=IMAGE, image_name="debian",
        kernel_id=KERNEL, vcpu=1, memory_mib=256, disk_bytes=1, overlay_bytes=1, nat=False,
        vmm="firecracker", network="bridge", subnet="10.77.0.0/24",
        request_id=os.urandom(16).hex(),
    )  # fmt: skip


@pytest.fixture(scope="module")
def block(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prison]:
    """The services and nat, for all tests; each has the VM to itself."""
    with ExitStack() as cleanup:
        place = Namespace()
        cleanup.callback(place.close)
        one, two = cleanup.enter_context(new_users(place, ONE, TWO))
        one.configure("[nat]\nexternal = true\n")
        root = tmp_path_factory.mktemp("root")
        made = Prison(one, two, root, tools, root / "jails")
        made.configure_nat()
        for service in ("broker", "store"):
            one.start(service)
        made.start_nat()
        yield made


@pytest.fixture
def prison(block: Prison) -> Iterator[Prison]:
    """Fails when a test leaves something of a jail after the VM has stopped."""
    _publish(block.one)
    _make_vm(block)
    yield block
    rows = block.call("store", "vm.list")["vms"]
    if rows:
        block.become(DOWN)
    eventually(lambda: not block.leftovers())
    if rows:
        block.call("store", "vm.remove", id=VM)
    for directory in (block.state, block.run, block.one.paths.data):
        shutil.rmtree(directory)


Test = Callable[[Prison], Awaitable[None]]


def contract(test: Test) -> Callable[[Prison], None]:
    """Run the coroutine; pytest sees an ordinary test."""

    def run(prison: Prison) -> None:
        asyncio.run(test(prison))  # type: ignore[arg-type]

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


def status_of(process: ProcessId) -> dict[str, list[str]]:
    """proc_pid_status(5)."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return {name: value.split() for name, _, value in (line.partition(":") for line in lines)}


@contract
async def test_everything_asked_for_a_vm_is_granted_in_the_jail(prison: Prison) -> None:
    prison.driver.prepare(prison.spec)
    async with prison.launched() as machine:
        await machine.attach()
        assert (await prison.ask(DESCRIBE))["state"] == "Running"
        whole = await prison.ask(Request("GET", "/vm/config", {}))
        assert {drive["path_on_host"] for drive in whole["drives"]} == {
            "/disks/rootfs", "/disks/overlay", "/disks/work", "/disks/modules",
        }  # fmt: skip
        assert (prison.sockets / "agent.sock").is_socket()
        assert machine.agent.socket == prison.sockets / "agent.sock"


@contract
async def test_it_is_nobody_but_the_jails_uid_and_sees_only_its_own(prison: Prison) -> None:
    async with prison.launched() as machine:
        await machine.attach()
        status = status_of(machine.process)
        assert status["Uid"] == status["Gid"] == [str(JAIL_UID)] * 4
        assert status["Groups"] == []
        assert set(status["CapEff"] + status["CapPrm"]) == {"0" * 16}
        inside = Path(f"/proc/{machine.process.pid}/root")
        assert {path.name for path in inside.iterdir()} <= {
            "boot", "dev", "disks", "firecracker", "firecracker.pid", "logs", "run", "vm",
        }  # fmt: skip
        mounts = Path(f"/proc/{machine.process.pid}/mounts").read_text().splitlines()
        flags = {line.split()[1]: line.split()[3].split(",") for line in mounts}
        for path in ("/boot/vmlinux", "/boot/initrd", "/disks/rootfs", "/disks/modules"):
            assert "ro" in flags[path], path
        for path in ("/disks/overlay", "/disks/work", "/vm"):
            assert {"rw", "nosuid", "nodev", "noexec"} <= set(flags[path]), path
        assert str(prison.jails) not in Path("/proc/mounts").read_text()


@contract
async def test_the_user_reaches_it_and_the_other_user_does_not(prison: Prison) -> None:
    connect = (
        "import socket, sys\n"
        "with socket.socket(socket.AF_UNIX) as s:\n"
        "    s.connect(sys.argv[1]); s.sendall(b'GET / HTTP/1.1\\r\\n\\r\\n'); print(s.recv(99))"
    )
    async with prison.launched() as machine:
        await machine.attach()
        api, disk = str(prison.sockets / "api.sock"), str(prison.state / "overlay.ext4")
        assert b"200" in (await asyncio.to_thread(prison.one.python, connect, api)).stdout
        for user, allowed in ((prison.one, True), (prison.two, False)):
            assert (await asyncio.to_thread(user.python, connect, api)).returncode == (not allowed)
            assert await asyncio.to_thread(user.can, "head", "-c1", disk) == allowed
            pid = str(machine.process.pid)
            assert not await asyncio.to_thread(user.can, "kill", "-0", pid)
        relative = len(
            os.fsencode((prison.sockets / "agent.sock").relative_to(prison.run.parents[1]))
        )
        assert relative <= len(LONGEST_SOCKET)


@contract
async def test_pause_resume_and_an_end_by_nat(prison: Prison) -> None:
    async with prison.launched() as machine:
        await machine.attach()
        await machine.pause()
        assert (await prison.ask(DESCRIBE))["state"] == "Paused"
        await machine.resume()
        assert (await prison.ask(DESCRIBE))["state"] == "Running"
        machine.kill(signal.SIGTERM)
        await machine.ended()
        assert start_time(machine.process.pid) is None
        with pytest.raises(BangerError) as caught:
            await machine.pause()
        assert caught.value.code is Code.NOT_RUNNING
        machine.kill()  # nothing happens


@contract
async def test_it_is_found_and_taken_over_when_supervisor_and_nat_have_died(
    prison: Prison,
) -> None:
    async with prison.launched() as first:
        await first.attach()
        prison.become(UP)
        await asyncio.to_thread(prison.restart_nat)
        assert find_vmm(VM) == first.process
        assert vmm_name(command_line(first.process.pid)) == "firecracker"
        second = prison.driver.adopt(first.process, prison.run, prison.state, 0)
        await second.attach()
        await second.pause()
        assert (await prison.ask(DESCRIBE))["state"] == "Paused"
        second.kill(signal.SIGKILL)
        await second.ended()
        await second.close()
    assert start_time(first.process.pid) is None


@contract
async def test_one_that_dies_at_once_leaves_its_last_words(prison: Prison) -> None:
    prison.spec.kernel.joinpath("vmlinux").unlink()
    prison.spec.kernel.joinpath("vmlinux").write_bytes(b"no kernel")
    async with prison.launched() as machine:
        with pytest.raises(BangerError) as caught:
            await machine.attach()
        assert caught.value.code is Code.GUEST_FAILED
        assert "/actions" in caught.value.message or "/boot-source" in caught.value.message


@contract
async def test_what_ends_firecracker_before_it_serves_is_told_with_its_log(prison: Prison) -> None:
    machine = await prison.launch()
    machine.kill()
    await machine.ended()
    assert (await machine.ended()).reason is EndReason.CRASHED
    await machine.close()


def test_a_vm_that_is_not_up_any_more_leaves_nothing(prison: Prison) -> None:
    asyncio.run(_launch_and_forget(prison))
    assert prison.leftovers()
    prison.become(UP)
    prison.become(DOWN)
    eventually(lambda: not prison.leftovers())


def test_a_vm_that_ended_while_nat_was_dead_leaves_nothing(prison: Prison) -> None:
    asyncio.run(_launch_and_forget(prison))
    prison.become(UP)
    prison.one.kill("nat")
    prison.call("store", "vm.remove", id=VM)
    assert prison.leftovers()
    prison.start_nat()
    eventually(lambda: not prison.leftovers())


async def _launch_and_forget(prison: Prison) -> None:
    machine = await prison.launch()
    await machine.attach()
    await machine.close()


def _planted(prison: Prison, path: Path, how: str, target: Path) -> None:
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
    match how:
        case "link":
            path.symlink_to(target)
        case "fifo":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
    prison.give_to_the_user()


def _ready(prison: Prison) -> None:
    """All that a supervisor makes before it asks for the jail."""
    prison.sockets.mkdir(mode=0o700)
    os.mkfifo(prison.run / "console.in", 0o600)
    for name in ("console.log", "vmm.log"):
        (prison.state / name).touch(mode=0o600)
    prison.give_to_the_user()


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("overlay.ext4", "link"),
        ("overlay.ext4", "fifo"),
        ("overlay.ext4", "directory"),
        ("work.ext4", "link"),
        ("console.log", "link"),
        ("console.log", "fifo"),
        ("vmm.log", "link"),
        ("metrics.json", "link"),
        ("initrd", "link"),
        ("console.in", "link"),
        ("jail", "link"),
    ],
)
def test_what_is_planted_in_a_files_place_is_refused_and_its_target_untouched(
    prison: Prison, tmp_path: Path, name: str, how: str
) -> None:
    _ready(prison)
    target = tmp_path / "roots"
    if name == "jail":
        target.mkdir(mode=0o755)
    else:
        target.write_text("root's")
        target.chmod(0o666)  # even one that the user could write is not the user's to give away
    before = target.stat()
    parent = prison.run if name in ("initrd", "console.in", "jail") else prison.state
    _planted(prison, parent / name, how, target)
    prison.call("nat", "nat.attach", id=VM)
    error = prison.refusal("nat", "nat.jail", id=VM)
    assert error.code is Code.DENIED
    after = target.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode, before.st_uid, before.st_gid,
    )  # fmt: skip
    assert name == "jail" or target.read_text() == "root's"
    assert not prison.leftovers()


def test_a_file_of_somebody_else_is_refused(prison: Prison) -> None:
    _ready(prison)
    overlay = prison.state / "overlay.ext4"
    os.chown(overlay, TWO, TWO)
    overlay.chmod(0o666)
    prison.call("nat", "nat.attach", id=VM)
    assert "overlay.ext4" in prison.refusal("nat", "nat.jail", id=VM).message
    assert (overlay.stat().st_gid, stat.S_IMODE(overlay.stat().st_mode)) == (TWO, 0o666)


def test_ids_and_signals_that_are_none_are_refused(prison: Prison) -> None:
    hostile = ("", "../../../etc", "0123456789AB", "0123456789ab/", "x" * 5000, "0123456789a\n")
    for vm_id in hostile:
        for verb, body in (("nat.jail", {}), ("nat.unjail", {"signal": 9})):
            error = prison.refusal("nat", verb, id=vm_id, **body)
            assert error.code in (Code.NOT_FOUND, Code.INVALID), vm_id
    assert prison.refusal("nat", "nat.unjail", id=VM, signal=9).code is Code.NOT_RUNNING
    assert prison.refusal("nat", "nat.unjail", id=VM, signal=99).code is Code.INVALID
    assert prison.refusal("nat", "nat.jail", id=VM).code is Code.CONFLICT, "not attached"


def test_unjail_reaches_no_process_of_roots_own(prison: Prison) -> None:
    """One that is called as a VM of the user is: root may run Firecracker too."""
    sleep = [sys.executable, "-c", "import signal; signal.pause()", "--id", f"banger-{VM}"]
    process = subprocess.Popen(sleep)
    try:
        eventually(lambda: f"banger-{VM}".encode() in command_line(process.pid))
        error = prison.refusal("nat", "nat.unjail", id=VM, signal=9)
        assert error.code is Code.NOT_RUNNING
        assert process.poll() is None
    finally:
        process.kill()
        process.wait(10)


def test_a_second_jail_of_a_vm_is_refused_and_the_first_goes_on(prison: Prison) -> None:
    async def scenario() -> None:
        async with prison.launched() as machine:
            await machine.attach()
            error = await asyncio.to_thread(prison.refusal, "nat", "nat.jail", id=VM)
            assert error.code is Code.CONFLICT
            assert (await prison.ask(DESCRIBE))["state"] == "Running"

    asyncio.run(scenario())


def test_without_the_jailer_it_is_named(prison: Prison) -> None:
    prison.configure_nat(jailer="no-jailer-here")
    prison.restart_nat()
    prison.call("nat", "nat.attach", id=VM)
    error = prison.refusal("nat", "nat.jail", id=VM)
    assert error.code is Code.MISSING_TOOL
    assert "no-jailer-here" in error.message
    prison.configure_nat()
    prison.restart_nat()
