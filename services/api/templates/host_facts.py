"""What a VMM and this host give to a guest, asked once.

A VMM is run to ask it, and its answers are good as long as its program and the right to use KVM
are the same. A supervisor asks again before it loads anything.
"""

import os
from pathlib import Path
from typing import NamedTuple

from services.api.templates.guest_files import digest_of_guest_files
from services.api.templates.key import FileFact
from shared.config import Config
from shared.vmm.accelerator import kvm_obstacle
from shared.vmm.info import LaunchContext
from shared.vmm.registry import driver_info


class HostFacts(NamedTuple):
    """Of one VMM here."""

    version: str
    accel: str
    cpu: str


class HostQuestions:
    """Asks VMMs about this host, and remembers what they said. Used by one thread at a time."""

    def __init__(self, config: Config, run: Path) -> None:
        self._config = config
        self._run = run
        self._known: dict[tuple[object, ...], HostFacts] = {}
        self._guest = ""

    def guest(self) -> str:
        """``digest_of_guest_files``: what this process was started with, as its supervisors are."""
        self._guest = self._guest or digest_of_guest_files()
        return self._guest

    def of(self, vmm: str, kernel: Path) -> HostFacts:
        """May boot a probe guest, as ``DriverInfo.accelerator``.

        Raises:
            BangerError: as ``DriverInfo.version``.
        """
        info = driver_info(vmm)
        status = info.find_program(self._config).stat()
        subject = (vmm, kernel, status.st_mtime_ns, status.st_size, kvm_obstacle() is None)
        if subject not in self._known:
            context = LaunchContext(self._config, kernel, self._run)
            accelerator = info.accelerator(context)
            version, cpu = info.version(context), info.cpu(context, accelerator)
            self._known[subject] = HostFacts(version, accelerator.accel.value, cpu)
        return self._known[subject]


def files_in(directory: Path) -> list[FileFact]:
    """The files of a published kernel, which never change under their names."""
    facts = []
    with os.scandir(directory) as entries:
        for entry in entries:
            status = entry.stat()
            fact = FileFact(name=entry.name, bytes=status.st_size, modified_ns=status.st_mtime_ns)
            facts.append(fact)
    return sorted(facts, key=lambda fact: fact.name)
