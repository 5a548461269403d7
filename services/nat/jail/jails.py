"""The jails of one user: started, signalled, and swept away when their VM is not up any more.

What there is is read from the kernel each time, directories and processes: a nat that was killed
anywhere is followed by one that finds the same. Only our own children are remembered, since a
process has no command line to be known by while it becomes another program. Everything here blocks
and is called from the one worker thread of nat.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Set
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from services.nat.jail.plan import (
    Programs,
    User,
    check_id,
    chroot_of,
    jail_uid,
    jail_uids,
    orders,
)
from services.nat.jail.processes import END_SECONDS, Inmates
from shared.config import Config
from shared.contract.messages.vm import Vm
from shared.errors import BangerError, Code
from shared.host.cgroup import Limits, confine, release
from shared.host.process import ProcessId, start_time
from shared.vm.jail import SPAN, jailer_id
from shared.vmm.firecracker_binary import find_program

ENTER = Path(__file__).with_name("enter.py")
_ENTER_SECONDS = 10.0
_PREFIX = jailer_id("")
_NOBODY = -1


@dataclass(frozen=True)
class Jails:
    """``subnet``: the bridge's, which numbers the VMs."""

    user: User
    config: Config
    subnet: IPv4Network
    _children: dict[str, "subprocess.Popen[str]"] = field(default_factory=dict)

    @property
    def base(self) -> Path:
        """Root's alone, all of it."""
        return Path(self.config.firecracker.jail_directory) / str(self.user.uid)

    @property
    def uids(self) -> range:
        return jail_uids(self.config.firecracker.jail_uids, self.subnet)

    def uid_of(self, vm: Vm) -> int:
        return jail_uid(self.config.firecracker.jail_uids, self.subnet, IPv4Address(vm.address))

    def present(self) -> dict[str, int]:
        """Id → uid of every VM that has a jail of ours to look after."""
        if os.geteuid() != 0:
            return {}
        roots = self.base.glob(f"*/{_PREFIX}*/root")
        return {path.parent.name.removeprefix(_PREFIX): _owner(path) for path in roots}

    def prepare(self, vm: Vm) -> None:
        """Make the jail's place, so that the tap becomes the jail's.

        Raises:
            BangerError: ``denied`` when we are not root, ``missing_tool`` without jailer or
                Firecracker, ``conflict`` for a VM that has a jailed VMM, ``invalid``.
        """
        if os.geteuid() != 0:
            raise BangerError(
                Code.DENIED,
                "a jail takes a nat that is root",
                hint="set nat.external and have root run nat, or set firecracker.jailer = false",
            )
        uid, root = self.uid_of(vm), self._root(vm.id)
        if self._is_occupied(vm.id, uid):
            raise BangerError(Code.CONFLICT, f"VM {vm.name} has a jailed VMM already")
        Path(self.config.firecracker.jail_directory).mkdir(mode=0o711, parents=True, exist_ok=True)
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.chown(root, uid, uid)

    def start(self, vm: Vm) -> ProcessId:
        """Start the VMM in the place that ``prepare`` has made; what goes wrong removes it."""
        try:
            return self._start(vm)
        except BaseException:
            self._remove(vm.id, self.uid_of(vm))
            raise

    def _start(self, vm: Vm) -> ProcessId:
        plan = orders(vm, self.uid_of(vm), self.user, self.base, self._programs())
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
        confine(vm.id, helper.pid, Limits(vm.vcpu, vm.memory_mib))
        said = _told(helper, json.dumps(plan.as_json()))
        if said:
            raise _failure(vm, said)
        born = start_time(helper.pid)
        # One that is gone already is the supervisor's to find out, with its last words.
        return ProcessId(helper.pid, born or 0)

    def signal(self, vm: Vm, signum: signal.Signals) -> None:
        """Raises ``not_running`` for a VM without a jailed VMM."""
        child = self._child(vm.id)
        if child:
            child.send_signal(signum)
        elif not self._inmates(vm.id, self.uid_of(vm)).send(signum):
            raise BangerError(Code.NOT_RUNNING, f"VM {vm.name} has no jailed VMM")

    def sweep(self, wanted: Set[str]) -> list[str]:
        """End what is jailed for a VM that is not in ``wanted``, and remove every jail without a
        process; returns the ids of those removed."""
        over = {
            vm_id: uid
            for vm_id, uid in self.present().items()
            if not (vm_id in wanted and self._is_occupied(vm_id, uid))
        }
        return [vm_id for vm_id, uid in over.items() if self._remove(vm_id, uid)]

    def _remove(self, vm_id: str, uid: int) -> bool:
        """False when a process of it is still there: the next sweep tries again."""
        child = self._child(vm_id)
        if child:
            child.kill()
            child.wait(END_SECONDS)
            self._child(vm_id)
        if not (self._inmates(vm_id, uid).end() and release(vm_id)):
            return False
        for root in self.base.glob(f"*/{jailer_id(vm_id)}"):
            shutil.rmtree(root, ignore_errors=True)
        return True

    def _is_occupied(self, vm_id: str, uid: int) -> bool:
        return self._child(vm_id) is not None or any(self._inmates(vm_id, uid))

    def _child(self, vm_id: str) -> "subprocess.Popen[str] | None":
        """The process that we have started for the VM, as long as it lives; then it is reaped."""
        child = self._children.get(vm_id)
        if child and child.poll() is not None:
            del self._children[vm_id]
            return None
        return child

    def _inmates(self, vm_id: str, uid: int) -> Inmates:
        return Inmates(check_id(vm_id), uid, self.base)

    def _helper(self, vm_id: str) -> list[str]:
        """The words after the program's are for ``Inmates``."""
        words = ("--id", jailer_id(vm_id), "--chroot-base-dir", str(self.base))
        return [sys.executable, "-I", "-S", str(ENTER), *words]

    def _root(self, vm_id: str) -> Path:
        return chroot_of(self.base, self._programs().firecracker, check_id(vm_id))

    def _programs(self) -> Programs:
        jailer = shutil.which(self.config.firecracker.jailer_bin)
        if jailer is None:
            raise BangerError(
                Code.MISSING_TOOL,
                f"there is no program {self.config.firecracker.jailer_bin}, the jailer",
                hint="it comes with Firecracker's release; put it on the PATH of nat, or name it "
                "as firecracker.jailer_bin in nat's configuration",
            )
        # The jailer resolves links, and calls the directory after what it finds.
        return Programs(Path(jailer), find_program(self.config.firecracker_bin).resolve())


def _owner(root: Path) -> int:
    """The jail's uid; nobody's when a nat died before it had given the place to the jail, for
    root's other processes are in no jail of ours."""
    uid = root.stat().st_uid
    return uid if uid in SPAN else _NOBODY


def _told(helper: "subprocess.Popen[str]", text: str) -> str:
    """Hand over the orders; what the helper says before it becomes the jailer, "" for nothing."""
    assert helper.stdin
    assert helper.stdout
    with helper.stdin, helper.stdout, suppress(BrokenPipeError):
        helper.stdin.write(text)
        helper.stdin.close()
        if not select.select([helper.stdout], [], [], _ENTER_SECONDS)[0]:
            return f"nothing happened for {_ENTER_SECONDS} s"
        return helper.stdout.read()  # to its end: that is when the jailer has our place
    return "the helper ended as it began"


def _failure(vm: Vm, said: str) -> BangerError:
    try:
        reason = str(json.loads(said)["message"])
    except (ValueError, KeyError, TypeError):
        reason = said.strip().splitlines()[-1]
    return BangerError(
        Code.DENIED,
        f"the jail of VM {vm.name} cannot be made: {reason}",
        hint="see: banger daemon logs nat",
    )
