"""The jails of one user: started, signalled, and removed when their VM is no longer up.

The directories and processes of jails are read from the kernel each time, so that a nat that was
killed at any point is followed by one that finds the same. Only nat's own children are kept in
memory, because a process has no command line while it becomes another program. Every call blocks
and runs in nat's worker thread.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from services.nat.jail.plan import (
    JailUser,
    Programs,
    check_id,
    chroot_of,
    cleaning_spec,
    jail_spec,
    jail_uid,
    jail_uids,
)
from services.nat.jail.processes import END_SECONDS, JailedProcesses
from shared.config import Config
from shared.contract.messages.vm import Vm
from shared.contract.sizes import check_sizes
from shared.errors import BangerError, Code
from shared.host.cgroup import Limits, confine, release
from shared.host.process import ProcessId, start_time
from shared.vm.jail import SPAN
from shared.vmm.info import JailSettings, process_name
from shared.vmm.registry import jailed_vmm

ENTER = Path(__file__).with_name("enter.py")
_ENTER_SECONDS = 10.0
_PREFIX = process_name("")
_NOBODY = -1


@dataclass(frozen=True)
class Jails:
    """``subnet``: that of the bridge, from which the VMs get their numbers."""

    user: JailUser
    config: Config
    subnet: IPv4Network
    _children: dict[str, "subprocess.Popen[str]"] = field(default_factory=dict)

    @property
    def _settings(self) -> JailSettings:
        return jailed_vmm(self.config)[1]

    @property
    def base(self) -> Path:
        """The directory of the user's jails, which belongs to root."""
        return self._settings.directory / str(self.user.uid)

    @property
    def uids(self) -> range:
        return jail_uids(self._settings.first_uid, self.subnet)

    def uid_of(self, vm: Vm) -> int:
        return jail_uid(self._settings.first_uid, self.subnet, IPv4Address(vm.address))

    def present(self) -> dict[str, int]:
        """VM id → uid of every jail of this user."""
        if os.geteuid() != 0:
            return {}
        roots = self.base.glob(f"*/{_PREFIX}*/root")
        return {path.parent.name.removeprefix(_PREFIX): _owner(path) for path in roots}

    def prepare(self, vm: Vm) -> None:
        """Create the jail's directory, so that the next pass gives the tap to the jail.

        Raises:
            BangerError: ``denied`` when nat is not root, ``missing_tool`` without the jailer or
                the VMM, ``conflict`` for a VM that has a jailed VMM and for a uid that another
                user's jail has, ``invalid``.
        """
        if os.geteuid() != 0:
            raise BangerError(
                Code.DENIED,
                "only a nat that runs as root can create a jail",
                hint="set nat.external and run nat as root, or set "
                f"{self._settings.section}.jailer = false",
            )
        check_sizes(vcpu=vm.vcpu, memory=vm.memory_mib)  # they become limits of a control group
        uid, root = self.uid_of(vm), self._root(vm.id)
        if self._is_occupied(vm.id, uid):
            raise BangerError(Code.CONFLICT, f"VM {vm.name} already has a jailed VMM")
        self.refuse_shared(uid)
        make_jail_directories(self._settings.directory, root)
        os.chown(root, uid, uid)

    def refuse_shared(self, uid: int) -> None:
        """Raise ``conflict`` when a jail of another user has the uid: each could harm the other."""
        for root in self._settings.directory.glob(f"*/*/{_PREFIX}*/root"):
            if self.base not in root.parents and _owner(root) == uid:
                raise BangerError(
                    Code.CONFLICT,
                    f"uid {uid} belongs to a jail of another user's VM",
                    hint="set another jail_uids in the configuration of one of the nats",
                )

    def start(self, vm: Vm, bases: Sequence[str] = ()) -> ProcessId:
        """Start the VMM in the directory that ``prepare`` created; after an error remove that.

        ``bases``: as of ``jail_spec``."""
        try:
            return self._start(vm, bases)
        except BaseException:
            self._remove(vm.id, self.uid_of(vm))
            raise

    def _start(self, vm: Vm, bases: Sequence[str]) -> ProcessId:
        spec = jail_spec(vm, self.uid_of(vm), self.user, self.base, self._programs(), bases)
        helper = subprocess.Popen(
            self._helper(vm.id),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd="/",
            env={},
            start_new_session=True,
        )
        self._children[vm.id] = helper
        confine(vm.id, helper.pid, Limits(vm.vcpu, vm.memory_mib), self.user.uid)
        output = _send_spec(helper, json.dumps(spec.as_json()))
        if output:
            raise _failure(vm, output)
        born = start_time(helper.pid)
        # When it has ended already, the supervisor finds that out, and reads its output.
        return ProcessId(helper.pid, born or 0)

    def signal(self, vm: Vm, signum: signal.Signals) -> None:
        """Raises ``not_running`` for a VM without a jailed VMM."""
        child = self._child(vm.id)
        if child:
            child.send_signal(signum)
        elif not self._processes(vm.id, self.uid_of(vm)).send(signum):
            raise BangerError(Code.NOT_RUNNING, f"VM {vm.name} has no jailed VMM")

    def sweep(self, wanted: Set[str]) -> list[str]:
        """Remove the jails of VMs that are not in ``wanted``, and jails without a process; returns
        the ids of their VMs."""
        over = {
            vm_id: uid
            for vm_id, uid in self.present().items()
            if not (vm_id in wanted and self._is_occupied(vm_id, uid))
        }
        return [vm_id for vm_id, uid in over.items() if self._remove(vm_id, uid)]

    def _remove(self, vm_id: str, uid: int) -> bool:
        """Remove one jail; False when a process of it still runs. The next sweep tries again."""
        child = self._child(vm_id)
        if child:
            child.kill()
            child.wait(END_SECONDS)
            self._child(vm_id)
        if not (self._processes(vm_id, uid).end() and release(vm_id, self.user.uid)):
            return False
        self._empty_sockets(vm_id)
        for root in self.base.glob(f"*/{process_name(vm_id)}"):
            shutil.rmtree(root, ignore_errors=True)
        return True

    def _empty_sockets(self, vm_id: str) -> None:
        """Remove what the VMM left in the directory that it shared with the user, who could not.
        When that fails, the next start does it."""
        spec = json.dumps(cleaning_spec(vm_id, self.user))
        command = [sys.executable, "-I", "-S", str(ENTER)]
        with suppress(OSError, subprocess.SubprocessError):
            subprocess.run(
                command,
                input=spec,
                capture_output=True,
                text=True,
                cwd="/",
                env={},
                timeout=_ENTER_SECONDS,
            )

    def _is_occupied(self, vm_id: str, uid: int) -> bool:
        return self._child(vm_id) is not None or any(self._processes(vm_id, uid))

    def _child(self, vm_id: str) -> "subprocess.Popen[str] | None":
        """The running child process of the VM. One that has ended is reaped."""
        child = self._children.get(vm_id)
        if child and child.poll() is not None:
            del self._children[vm_id]
            return None
        return child

    def _processes(self, vm_id: str, uid: int) -> JailedProcesses:
        jailer = shutil.which(self._settings.jailer)
        programs = (sys.executable, *([jailer] if jailer else []))
        return JailedProcesses(check_id(vm_id), uid, self.base, frozenset(map(_resolved, programs)))

    def _helper(self, vm_id: str) -> list[str]:
        """The helper's command line; the options identify it to ``JailedProcesses``."""
        words = ("--id", process_name(vm_id), "--chroot-base-dir", str(self.base))
        return [sys.executable, "-I", "-S", str(ENTER), *words]

    def _root(self, vm_id: str) -> Path:
        return chroot_of(self.base, self._programs().vmm, check_id(vm_id))

    def _programs(self) -> Programs:
        info, settings = jailed_vmm(self.config)
        jailer = shutil.which(settings.jailer)
        if jailer is None:
            raise BangerError(
                Code.MISSING_TOOL,
                f"the jailer is not installed: {settings.jailer}",
                hint=f"{info.title}'s release includes it; put it on the PATH of nat, or set "
                f"{settings.section}.jailer_bin in nat's configuration",
            )
        # The jailer resolves links, and names the directory after the result.
        vmm = info.find_program(self.config).resolve()
        return Programs(Path(jailer), vmm, settings.arguments)


def make_jail_directories(top: Path, root: Path) -> None:
    """Make ``root`` and what is between it and ``top``, with modes that do not depend on the umask:
    nobody but root writes, lists or reads there."""
    top.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    between = [each for each in reversed(root.parents) if each.is_relative_to(top)]
    for directory, mode in (*((each, 0o711) for each in between), (root, 0o700)):
        directory.mkdir(exist_ok=True)
        directory.chmod(mode)


def _resolved(program: str) -> str:
    return str(Path(program).resolve())


def _owner(root: Path) -> int:
    """The jail's uid; -1 when a nat ended before it had given the directory to the jail, because
    none of root's processes is in a jail."""
    uid = root.stat().st_uid
    return uid if uid in SPAN else _NOBODY


def _send_spec(helper: "subprocess.Popen[str]", text: str) -> str:
    """Send the specification; returns what the helper prints before it becomes the jailer, which is
    nothing unless it fails."""
    assert helper.stdin
    assert helper.stdout
    with helper.stdin, helper.stdout, suppress(BrokenPipeError):
        helper.stdin.write(text)
        helper.stdin.close()
        if not select.select([helper.stdout], [], [], _ENTER_SECONDS)[0]:
            return f"no answer for {_ENTER_SECONDS} s"
        return helper.stdout.read()  # to its end, which is when the helper becomes the jailer
    return "the helper ended at once"


def _failure(vm: Vm, output: str) -> BangerError:
    try:
        reason = str(json.loads(output)["message"])
    except (ValueError, KeyError, TypeError):
        reason = output.strip().splitlines()[-1]
    return BangerError(
        Code.DENIED,
        f"the jail of VM {vm.name} cannot be created: {reason}",
        hint="see: banger daemon logs nat",
    )
