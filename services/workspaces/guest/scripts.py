"""The scripts that place a repository in a guest and bring it up to date, and the shell for them.

The shell is the busybox that init puts into the guest: its tools are of a known version, and cost
a few milliseconds where a program of the image costs ten under emulation.
"""

from collections.abc import Sequence
from pathlib import Path

SHELL: tuple[str, ...] = ("/run/banger/busybox", "sh")
_HERE = Path(__file__).parent
PLACE = (_HERE / "place.sh").read_text()
UPDATE = (_HERE / "update.sh").read_text()


def busybox_argv(script: str, args: Sequence[str]) -> list[str]:
    """The command that runs ``script`` with ``$1``… set to ``args``."""
    return [*SHELL, "-c", script, "sh", *args]
