"""The programs that are needed on the host, and how to install them on this distribution."""

import os
import shlex
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cli.doctor.finding import fail, ok, warn
from shared.config import Config
from shared.host.programs import find_program
from shared.paths import Paths
from shared.vmm.info import Finding

OS_RELEASE = Path("/etc/os-release")


@dataclass(frozen=True)
class Tool:
    """A program, what it is needed to do, and its package by family of distributions."""

    program: str
    purpose: str
    packages: Mapping[str, str]
    version: tuple[str, ...] = ("--version",)
    builds_only: bool = False
    """Whether images and kernels that are there can be used without it."""


INSTALL = {
    "debian": "apt install",
    "fedora": "dnf install",
    "arch": "pacman -S",
    "suse": "zypper install",
    "alpine": "apk add",
}


def _packages(debian: str, fedora: str, arch: str, suse: str, alpine: str) -> dict[str, str]:
    return {"debian": debian, "fedora": fedora, "arch": arch, "suse": suse, "alpine": alpine}


_SSH = _packages("openssh-client", "openssh-clients", "openssh", "openssh-clients", "openssh")
_SQUASHFS = _packages(
    "squashfs-tools", "squashfs-tools", "squashfs-tools", "squashfs", "squashfs-tools"
)
_BUSYBOX = _packages("busybox-static", "busybox", "busybox", "busybox-static", "busybox-static")
_UIDMAP = _packages("uidmap", "shadow-utils", "shadow", "shadow", "shadow-uidmap")
_E2FS = dict.fromkeys(INSTALL, "e2fsprogs")
_MMDEBSTRAP = dict.fromkeys(INSTALL, "mmdebstrap")
_NFT = dict.fromkeys(INSTALL, "nftables")


def needed(config: Config, *, root: bool) -> list[Tool]:
    """The programs that this configuration and user need."""
    tools = [
        Tool("ssh", "open sessions", _SSH, ("-V",)),
        Tool("ssh-keygen", "create keys", _SSH, ()),
        Tool("mke2fs", "create disks", _E2FS, ("-V",)),
        Tool("mmdebstrap", "build images", _MMDEBSTRAP, builds_only=True),
        Tool("sqfstar", "pack images", _SQUASHFS, ("-version",), builds_only=True),
        Tool("busybox", "boot guests", _BUSYBOX, ()),
    ]
    if config.network_mode == "bridge":
        tools.append(Tool("nft", "filter the traffic of the bridge", _NFT))
    if not root:
        tools.append(Tool("newuidmap", "build images without root", _UIDMAP, (), builds_only=True))
    return tools


def host_tools(_paths: Paths, config: Config) -> Iterator[Finding]:
    family = family_of(OS_RELEASE.read_text() if OS_RELEASE.exists() else "")
    for tool in needed(config, root=os.geteuid() == 0):
        yield check_tool(tool, family)


def check_program(program: str, packages: Mapping[str, str]) -> Iterator[Finding]:
    """The program of the VMM that runs the VMs."""
    family = family_of(OS_RELEASE.read_text() if OS_RELEASE.exists() else "")
    yield check_tool(Tool(program, "run VMs", packages), family)


def check_tool(tool: Tool, family: str) -> Finding:
    path = find_program(tool.program)
    if path is None:
        say = warn if tool.builds_only else fail
        return say(
            tool.program, f"not found; needed to {tool.purpose}", install_line([tool], family)
        )
    if tool.program == "busybox" and not is_static(Path(path)):
        return fail("busybox", f"{path} is not statically linked", install_line([tool], family))
    if not tool.version:
        return ok(tool.program, path)
    said = version_line([path, *tool.version])
    return (
        ok(tool.program, said) if said else warn(tool.program, f"{path} does not report a version")
    )


def family_of(os_release: str) -> str:
    """The family by ID and ID_LIKE of os-release(5), or "" when it is none that we know."""
    fields = dict(
        word.split("=", 1) for word in shlex.split(os_release, comments=True) if "=" in word
    )
    names = [fields.get("ID", ""), *fields.get("ID_LIKE", "").split()]
    known = {"ubuntu": "debian", "rhel": "fedora", "centos": "fedora", "opensuse": "suse"}
    for name in names:
        base = known.get(name.split("-")[0], name)
        if base in INSTALL:
            return base
    return ""


def install_line(tools: Iterable[Tool], family: str) -> str:
    """What to type, or what to look for where the family is unknown."""
    if family not in INSTALL:
        return "install " + ", ".join(tool.program for tool in tools)
    packages = sorted({tool.packages[family] for tool in tools})
    return f"install it: {INSTALL[family]} {' '.join(packages)}"


def version_line(argv: list[str]) -> str:
    """The first line a program says of itself; some say it on stderr, some with a status."""
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    text = (done.stdout or done.stderr).decode(errors="replace").strip()
    return text.split("\n")[0].split(", Copyright")[0]


def is_static(path: Path) -> bool:
    """Whether an ELF file names no interpreter: no program header is PT_INTERP (elf(5))."""
    with path.open("rb") as file:
        header = file.read(64)
        if header[:5] != b"\x7fELF\x02":
            return False
        offset = int.from_bytes(header[32:40], "little")
        size = int.from_bytes(header[54:56], "little")
        count = int.from_bytes(header[56:58], "little")
        file.seek(offset)
        table = file.read(size * count)
    kinds = (table[i : i + 4] for i in range(0, len(table), size))
    return all(int.from_bytes(kind, "little") != PT_INTERP for kind in kinds)


PT_INTERP = 3
