"""The files behind a VM's block devices: its own disks, and those of its image and kernel.

An image may hold only the changes to another one (docs/images.md, "Layers"); the guest then needs
all that are below it, too.
"""

from pathlib import Path

from services.vm_supervisor.drivers.contract import Drives
from shared.contract.messages.image import MOST_LAYERS
from shared.contract.names import ID_LENGTHS
from shared.errors import BangerError, Code
from shared.vm import files
from shared.vm.manifest import read_manifest

TOOLS = "tools.squashfs"


def drives_of(image: Path, kernel: Path, state: Path) -> Drives:
    """The drives of a VM. ``state`` is its own directory.

    Raises:
        BangerError: ``not_found`` for an image whose manifest, or that of one below, cannot be
            read; ``invalid`` for one with too many below it.
    """
    rootfs, *bases = _layers(image)
    tools = kernel / TOOLS
    return Drives(
        rootfs=rootfs,
        overlay=state / files.OVERLAY,
        work=state / files.WORK_DISK,
        modules=kernel / "modules.squashfs",
        tools=tools if tools.exists() else None,
        bases=tuple(bases),
        seed=_seed_of(image),
    )


def _layers(image: Path) -> list[Path]:
    """The root filesystems of the image and of those below it, topmost first."""
    found: list[Path] = []
    directory = image
    while len(found) < MOST_LAYERS:
        manifest = read_manifest(directory)
        found.append(directory / manifest["rootfs"]["file"])
        below = str(manifest.get("base_digest", "")).removeprefix("sha256:")
        if not below:
            return found
        directory = image.parent / below[: ID_LENGTHS["an image"]]
    raise BangerError(Code.INVALID, f"the image {image.name} has more than {MOST_LAYERS} layers")


def _seed_of(image: Path) -> Path | None:
    seed = read_manifest(image).get("seed")
    return image / seed["file"] if seed else None
