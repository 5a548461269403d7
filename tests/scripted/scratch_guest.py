"""A directory as the root of a guest, in which its scripts run on the host.

The scripts name files by absolute paths. Those below the directories of ``_PLACES`` are led into
the scratch root. ``ip``, ``mount`` and ``fstrim`` only note their words, and so does ``adjust``.
"""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

ROOTFS = Path(__file__).parents[2] / "services/vm_supervisor/guest/rootfs"
_PLACES = re.compile(r"(?<![\w}.*])/(run|etc|proc|sys|var|tmp)(?=[/\s\"])")
_ADJUST = """#!/bin/sh
echo "adjust $*" >>ROOT/noted
/bin/cat >ROOT/message
shift
[ $# = 0 ] || . ROOT/run/initramfs/banger/identity
for device; do
    echo "$mac" >ROOT/sys/class/net/$device/address
    mac=$outside_mac
done
"""
_NOTED = """
ip() { echo "ip $*" >>ROOT/noted; }
mount() { echo "mount $*" >>ROOT/noted; }
fstrim() { echo "fstrim $*" >>ROOT/noted; }
sync() { :; }
"""


class ScratchGuest:
    """A guest that was started with ``identity``, and has the two devices of user mode."""

    def __init__(self, root: Path, identity: str) -> None:
        self.root = root
        busybox = shutil.which("busybox")
        assert busybox, "busybox is not installed"
        self._busybox = busybox
        for name in ("daemons", "apply", "renew", "hand_over", "settle"):
            self.write(f"run/initramfs/{name}", self._led((ROOTFS / name).read_text()))
        self.write("run/initramfs/bin/adjust", _ADJUST.replace("ROOT", str(root))).chmod(0o755)
        for place in ("run/initramfs/banger", "run/banger"):
            self.write(f"{place}/identity", identity)
            self.write(f"{place}/host_key", "OLD KEY\n").chmod(0o600)
        self.write("etc/machine-id", "11111111111111111111111111111111\n")
        self.write("etc/hostname", "old\n")
        self.write("etc/hosts", "127.0.0.1 localhost\n127.0.1.1 old.vm old\n")
        self.write("etc/resolv.conf", "nameserver 10.0.3.3\n")
        self.write("var/lib/banger/resolv.conf", "nameserver 10.0.3.3\n")
        self.write("proc/sys/kernel/hostname", "old\n")

    def add_device(self, name: str, mac: str, *, physical: bool = True) -> None:
        self.write(f"sys/class/net/{name}/address", f"{mac}\n")
        self.write(f"sys/class/net/{name}/uevent", "")
        if physical:
            self.write(f"sys/class/net/{name}/device/uevent", "")
        self.write(f"proc/sys/net/ipv4/conf/{name}/arp_notify", "0\n")
        self.write(f"proc/sys/net/ipv6/conf/{name}/disable_ipv6", "0\n")

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def read(self, path: str) -> str:
        return (self.root / path).read_text()

    @property
    def noted(self) -> list[str]:
        """What ``ip``, ``mount`` and ``adjust`` were called with."""
        file = self.root / "noted"
        return file.read_text().replace(str(self.root), "").splitlines() if file.exists() else []

    def run(
        self, script: str, message: bytes = b"", arguments: Sequence[str] = (), **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        text = _NOTED.replace("ROOT", str(self.root)) + self.read(f"run/initramfs/{script}")
        done = subprocess.run(
            [self._busybox, "sh", "-c", text, script, *arguments], input=message, env=environment,
            capture_output=True, timeout=30, check=False,
        )  # fmt: skip
        stderr = done.stderr.decode().replace(str(self.root), "")
        return subprocess.CompletedProcess(script, done.returncode, done.stdout.decode(), stderr)

    def _led(self, text: str) -> str:
        return _PLACES.sub(lambda found: f"{self.root}/{found[1]}", text)
