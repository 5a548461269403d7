"""The Firecracker binary of this host: where it is, and whether its version can be used."""

import re
import shutil
from pathlib import Path

from shared.errors import BangerError, Code
from shared.vmm.own_version import own_version

Version = tuple[int, int, int]

OLDEST: Version = (1, 8, 0)
"""The first that describes its devices by ACPI (its CHANGELOG). Earlier ones name them only on the
kernel's command line, which Debian's kernels do not read (VIRTIO_MMIO_CMDLINE_DEVICES)."""
TESTED: Version = (1, 12, 1)
_VERSION = re.compile(r"^Firecracker v(\d+)\.(\d+)\.(\d+)", re.MULTILINE)
_HINT = "put a Firecracker release on the PATH, or name it as firecracker_bin in the configuration"


def find_program(program: str) -> Path:
    """The path of ``program``, a name or a path. Raises ``missing_tool``."""
    found = shutil.which(program)
    if found is None:
        raise BangerError(Code.MISSING_TOOL, f"{program} is not installed", hint=_HINT)
    return Path(found)


def version_of(program: Path) -> Version:
    """The version that the binary prints; takes 5 ms.

    Raises:
        BangerError: ``missing_tool`` when it cannot be run or prints something else.
    """
    said = _VERSION.search(own_version(program, _HINT))
    if said is None:
        raise BangerError(Code.MISSING_TOOL, f"{program} is not Firecracker", hint=_HINT)
    major, minor, patch = (int(number) for number in said.groups())
    return major, minor, patch


def check_version(program: Path) -> Version:
    """The version. Raises ``incompatible`` for one that is too old, else as ``version_of``."""
    version = version_of(program)
    if version < OLDEST:
        raise BangerError(
            Code.INCOMPATIBLE,
            f"{program} is Firecracker {show(version)}, at least {show(OLDEST)} is needed",
            hint="install a newer release",
        )
    return version


def newer_than_tested(version: Version) -> bool:
    """By its minor version: patches are expected to be fine."""
    return version[:2] > TESTED[:2]


def show(version: Version) -> str:
    return ".".join(str(number) for number in version)


def of_states(version: Version) -> str:
    """So much of a version as saved machines depend on: patches leave their format alone
    (docs/RELEASE_POLICY.md of Firecracker)."""
    return show(version).rpartition(".")[0]


def parse(text: str) -> Version:
    """What ``show`` has written, and what the API says of a running Firecracker; 0.0.0 for
    anything else."""
    numbers = re.match(r"(\d{1,4})\.(\d{1,4})\.(\d{1,4})", text)
    return tuple(int(number) for number in numbers.groups()) if numbers else (0, 0, 0)  # type: ignore[return-value]
