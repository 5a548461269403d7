"""Whether a VMM runs a guest on this host: a probe guest is booted once per boot of the host.

A /dev/kvm that opens is no proof: on some hosts it creates a VM that never runs.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

from shared.host.boot_id import host_boot_id
from shared.host.busybox import find_busybox
from shared.host.cpio import Archive
from shared.host.files import write_atomically

PROBE_SECONDS = 20.0
"""A guest that hangs is given up then. Under nested virtualisation a kernel takes some seconds to
its init."""
_SIGN = "banger-probe: alive"


def probe_initrd(end: str) -> bytes:
    """An initramfs whose init prints the sign and then ends the guest by busybox's ``end``.

    Raises:
        BangerError: ``missing_tool`` without a static busybox.
    """
    init = f"#!/bin/busybox sh\necho '{_SIGN}'\n/bin/busybox {end}\n"
    archive = Archive()
    archive.file("init", init.encode(), 0o755)
    archive.file("bin/busybox", find_busybox().read_bytes(), 0o755)
    archive.directory("dev")
    return archive.to_bytes()


def failure_of(argv: list[str], seconds: float) -> str | None:
    """Run a VMM whose console is its stdout. None when its guest printed the sign, else why not."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError:
        return f"{argv[0]} is not installed"
    except subprocess.TimeoutExpired as late:
        if _SIGN.encode() in (late.stdout or b""):
            return None
        return f"a probe guest under KVM gave no sign of life in {seconds:.0f} s"
    if _SIGN.encode() in done.stdout:
        return None
    words = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
    return f"a probe guest under KVM died: {words[-1] if words else f'exit {done.returncode}'}"


class BootScopedCache:
    """One answer in a file, for this boot of the host and the ``subject`` of the answer."""

    def __init__(self, path: Path, subject: str) -> None:
        self._path = path
        self._key = f"{host_boot_id()} {subject}"

    def read(self) -> dict[str, Any] | None:
        try:
            entry = json.loads(self._path.read_text())[self._key]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return entry if isinstance(entry, dict) else None

    def write(self, entry: dict[str, Any]) -> None:
        """Write the answer, in place of one for another subject or another boot.

        Nothing is written when its directory does not exist: a diagnosis makes no files.
        """
        if not self._path.parent.is_dir():
            return
        write_atomically(self._path, json.dumps({self._key: entry}).encode())
