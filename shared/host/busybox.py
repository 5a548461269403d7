"""The host's statically linked busybox, the shell of every initramfs."""

import shutil
from pathlib import Path

from shared.errors import BangerError, Code


def find_busybox() -> Path:
    """The path of the static busybox: an ELF file that names no dynamic loader.

    Raises:
        BangerError: ``missing_tool`` when there is none, or only a dynamically linked one.
    """
    found = shutil.which("busybox")
    if found is None:
        raise _missing("busybox is not installed")
    path = Path(found)
    with path.open("rb") as file:
        head = file.read(4096)
    if b"/ld-linux" in head or b"/ld-musl" in head:
        raise _missing(f"{path} is linked dynamically; a guest needs a static busybox")
    return path


def _missing(message: str) -> BangerError:
    return BangerError(Code.MISSING_TOOL, message, hint="install it: apt install busybox-static")
