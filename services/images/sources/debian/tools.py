"""The tools layer: Debian's own programs for images that lack them, with libraries and loader.

It is a file of the kernel, because every VM has one and a guest mounts it (/run/banger/tools) only
when its image lacks something:

bin/NAME        starts libexec/NAME with the loader and the libraries of this layer, and no others
libexec/NAME    the program as packaged
lib/            the loader (ld.so), and every library that a program or a module needs
security/       modules of PAM

Nothing of an image is used: no loader, no library, no cache of them. So a program runs in an image
of any C library, and in one of none.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

from services.images.sources.debian.elf import needed
from shared.errors import BangerError, Code

PACKAGES = (
    "e2fsprogs",
    "libpam-modules",
    "openssh-server",
    "qemu-guest-agent",
    "rsync",
    "tar",
    "zstd",
)

PLACE = "/run/banger/tools"
"""Where a guest has it; guest/rootfs/start."""

_PROGRAMS = {
    # The name that a program is called by is that of its PAM service, before OpenSSH 9.8.
    "banger-sshd": "sbin/sshd",
    "qemu-ga": "sbin/qemu-ga",
    "resize2fs": "sbin/resize2fs",
    "rsync": "bin/rsync",
    "sftp-server": "lib/openssh/sftp-server",
    "tar": "bin/tar",
    "zstd": "bin/zstd",
}
_PROGRAMS_OF_NEWER_ONES = {
    # OpenSSH from 9.8 on.
    "sshd-auth": "lib/openssh/sshd-auth",
    "sshd-session": "lib/openssh/sshd-session",
}
_MODULES = ("pam_deny.so", "pam_env.so", "pam_limits.so", "pam_permit.so")
_LIBRARIES = "lib/x86_64-linux-gnu"
_LOADER = "ld-linux-x86-64.so.2"
_ROOTS = ("usr", ".")
"""Where Debian has its programs: newer packages below /usr, older ones in /sbin and /lib too."""

MEMBERS = ("*bin/*", f"*/{_LIBRARIES}/*", "*/lib/openssh/*")
"""What of the packages is looked at, as patterns of tar(1)."""

_START = f"""#!/run/initramfs/bin/sh
exec {PLACE}/lib/ld.so --inhibit-cache --library-path {PLACE}/lib \\
    --argv0 "$0" {PLACE}/libexec/NAME "$@"
"""


def gather_tools(tree: Path, target: Path) -> None:
    """Put the layer together at ``target``, from packages unpacked at ``tree``.

    Raises:
        BangerError: ``invalid`` when a program, a module or a library is not in the packages.
    """
    programs = {name: _find(tree, path) for name, path in _PROGRAMS.items()}
    for name, path in _PROGRAMS_OF_NEWER_ONES.items():
        if found := _looked_for(tree, path):
            programs[name] = found
    modules = {name: _find(tree, f"{_LIBRARIES}/security/{name}") for name in _MODULES}
    for part in ("bin", "lib", "libexec", "security"):
        (target / part).mkdir(parents=True)
    for name, program in programs.items():
        _copy(program, target / "libexec" / name, 0o755)
        start = target / "bin" / name
        start.write_text(_START.replace("NAME", name))
        start.chmod(0o755)
    for name, module in modules.items():
        _copy(module, target / "security" / name, 0o644)
    for name, library in _closure(tree, [*programs.values(), *modules.values()]):
        _copy(library, target / "lib" / name, 0o644)
    _copy(_find(tree, f"{_LIBRARIES}/{_LOADER}"), target / "lib" / "ld.so", 0o755)


def _closure(tree: Path, files: list[Path]) -> Iterator[tuple[str, Path]]:
    """Name and file of every library that ``files`` need, and that these need."""
    found: dict[str, Path] = {}
    open_ = list(files)
    while open_:
        for name in _needed(open_.pop()):
            if name not in found:
                found[name] = _find(tree, f"{_LIBRARIES}/{name}")
                open_.append(found[name])
    yield from sorted(found.items())


def _needed(path: Path) -> list[str]:
    try:
        return needed(path.read_bytes())
    except ValueError as error:
        raise BangerError(Code.INVALID, f"{path.name} of the packages is {error}") from error


def _find(tree: Path, path: str) -> Path:
    found = _looked_for(tree, path)
    if found is None:
        raise BangerError(Code.INVALID, f"the packages of the tools layer have no {path}")
    return found


def _looked_for(tree: Path, path: str) -> Path | None:
    """The file, links followed; None when there is none, or a link leaves the tree."""
    for root in _ROOTS:
        found = (tree / root / path).resolve()
        if found.is_file() and found.is_relative_to(tree.resolve()):
            return found
    return None


def _copy(source: Path, target: Path, mode: int) -> None:
    shutil.copyfile(source, target)
    target.chmod(mode)
