"""Which boot of the host this is: what is remembered of live kernel objects holds for one boot."""

import os
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def host_boot_id() -> str:
    """This boot of the host (random(4)); ``BANGER_HOST_BOOT_ID`` stands in for it in tests."""
    return os.environ.get("BANGER_HOST_BOOT_ID") or _BOOT_ID.read_text().strip()
