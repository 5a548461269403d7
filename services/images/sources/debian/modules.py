"""Which kernel modules the initramfs loads, and in which order. Pure.

depmod writes ``modules.dep``: "path: the paths it needs", of which the last must be loaded first.
A module that is built into the kernel is in ``modules.builtin`` instead. A module that the kernel
does not have is left out: a guest can run without vsock, for example.
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from shared.host.cpio import Archive

BOOT_MODULES = (
    "virtio_ring",
    "virtio",
    "virtio_mmio",
    "virtio_blk",
    "failover",
    "net_failover",
    "virtio_net",
    "virtio_console",
    "virtio_rng",
    "squashfs",
    "overlay",
    "vsock",
    "vmw_vsock_virtio_transport_common",
    "vmw_vsock_virtio_transport",
)
"""What a guest needs to mount its root filesystem and to be reached."""


def module_name(path: str) -> str:
    """The kernel's name of a module: ``kernel/x/virtio-rng.ko.xz`` is ``virtio_rng``."""
    return PurePosixPath(path).name.partition(".")[0].replace("-", "_")


def load_order(modules_dep: str, wanted: Sequence[str] = BOOT_MODULES) -> list[str]:
    """Paths of ``wanted`` modules and of those they need: each once, and after what it needs."""
    paths, needs = _parse(modules_dep)
    order: list[str] = []

    def add(path: str) -> None:
        if path in order:
            return
        for needed in reversed(needs.get(path, ())):
            add(needed)
        order.append(path)

    for name in wanted:
        if name in paths:
            add(paths[name])
    return order


def initrd_part(order: Sequence[str], contents: Mapping[str, bytes]) -> bytes:
    """A cpio archive with ``modules/<name>.ko`` and ``modules/load``, which lists them in order.

    ``contents`` maps each path of ``order`` to the uncompressed module.
    """
    archive = Archive()
    archive.directory("modules")
    names = [f"{module_name(path)}.ko" for path in order]
    for name, path in zip(names, order, strict=True):
        archive.file(f"modules/{name}", contents[path])
    archive.file("modules/load", "".join(f"{name}\n" for name in names).encode())
    return archive.to_bytes()


def _parse(modules_dep: str) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Module name → path, and path → the paths it needs."""
    paths: dict[str, str] = {}
    needs: dict[str, list[str]] = {}
    for line in modules_dep.splitlines():
        path, _, needed = line.partition(":")
        paths[module_name(path)] = path
        needs[path] = needed.split()
    return paths, needs
