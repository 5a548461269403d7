"""What a scripted guest is to do: a file of one line a wish, none for a guest that behaves.

It is looked for as ``script`` in the VM's state directory, then under the guest's hostname in the
directory that ``BANGER_TEST_GUESTS`` names, which can be filled before the VM exists.
"""

import os
from pathlib import Path

VARIABLE = "BANGER_TEST_GUESTS"

WISHES = {
    "die": "the VMM ends before it has a socket, with the rest of the line on stderr",
    "fail": "guest/init gives up, with the rest of the line",
    "panic": "the kernel panics while it boots",
    "crash": "the VMM ends with status 1 while the guest boots, with the rest of the line",
    "mute": "the agent never answers",
    "stubborn": "a power-off is accepted and not done",
    "deaf": "the first request to power off is lost, as before an init listens",
    "linger": "a power-off ends the agent at once, and the guest when the FIFO is written to",
    "once": "the next launch finds no script any more",
    "no-space": "a save finds no space on the host's disk",
    "endless-save": "a save goes on until it is cancelled, or until the guest runs",
    "hold": "the boot waits until the FIFO named by the rest of the line has been written to",
}


class Script:
    """Wish → rest of its line."""

    def __init__(self, text: str) -> None:
        lines = (line.partition(" ") for line in text.splitlines() if line)
        self._wishes = {wish: rest for wish, _, rest in lines}
        unknown = self._wishes.keys() - WISHES.keys()
        if unknown:
            raise SystemExit(f"the script has wishes that nobody knows: {unknown}")

    @classmethod
    def find(cls, state: Path, hostname: str) -> "Script":
        directory = os.environ.get(VARIABLE, "")
        places = [state / "script", *([Path(directory, hostname)] if directory else [])]
        place = next((place for place in places if place.is_file()), None)
        script = cls(place.read_text() if place else "")
        if place and "once" in script:
            place.unlink()
        return script

    def __contains__(self, wish: str) -> bool:
        return wish in self._wishes

    def __getitem__(self, wish: str) -> str:
        return self._wishes[wish]
