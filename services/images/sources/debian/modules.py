"""Which kernel modules the initramfs loads, in which order. Pure.

``modules.dep`` is depmod's: "path: the paths it needs", where what is listed last must be loaded
first. A module that the kernel has built in is in ``modules.builtin`` instead, and one that a
kernel does not have at all is left out: a guest may well run without vsock.
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
"""What a guest needs between the kernel's start and its root filesystem, and to be reached."""


def module_name(path: str) -> str:
    """The name the kernel knows a module by: ``kernel/x/virtio-rng.ko.xz`` is ``virtio_rng``."""
    return PurePosixPath(path).name.partition(".")[0].replace("-", "_")


def load_order(modules_dep: str, wanted: Sequence[str] = BOOT_MODULES) -> list[str]:
    """Paths of ``wanted`` modules and all they need, each after what it needs, none twice."""
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
    """Path by module name, and the paths each path needs."""
    paths: dict[str, str] = {}
    needs: dict[str, list[str]] = {}
    for line in modules_dep.splitlines():
        path, _, needed = line.partition(":")
        paths[module_name(path)] = path
        needs[path] = needed.split()
    return paths, needs
