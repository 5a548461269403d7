"""How far a build is, from the output of mmdebstrap and apt. Pure: lines in, steps out.

mmdebstrap runs apt once for the essential packages and once for the rest; ``--verbose`` prints
their output. apt announces the number of packages. Then it downloads each, and for an image unpacks
it and sets it up. These lines are counted.
"""

import re
from dataclasses import dataclass

_STAGES = {
    "I: running apt-get update": ("index", "reading the package index"),
    "I: downloading packages": ("download", "downloading packages"),
    "I: extracting archives": ("unpack", "extracting archives"),
    "I: installing essential": ("install", "installing the essential packages"),
    "I: installing remaining": ("install", "installing the other packages"),
    "I: running --customize-hook": ("customize", "fitting it to a virtual machine"),
    "I: cleaning package lists": ("clean", "cleaning up"),
    "I: creating tarball": ("squash", "packing the file system"),
}
_ANNOUNCED = re.compile(r"\d+ upgraded, (\d+) newly installed")
_DOWNLOADED = re.compile(r"Get:\d+ \S+ \S+ \S+ (\S+) ")
_UNPACKED = re.compile(r"Unpacking ([^\s:]+)\S* \(")
_CONFIGURED = re.compile(r"Setting up ([^\s:]+)\S* \(")


@dataclass(frozen=True)
class Step:
    """One step to show. ``fraction`` of the whole is 0 to 1 and never falls."""

    stage: str
    message: str
    fraction: float


class BuildProgress:
    """Feed it every line of stderr.

    ``runs`` is how often apt installs (an image: 2, a kernel: 1), ``touches`` how often a package
    is mentioned in a run (downloaded, unpacked, set up: 3; only downloaded: 1), ``end`` the
    fraction of the whole that is done when the last package is.
    """

    _START = 0.05  # the package index is before it

    def __init__(self, *, runs: int, touches: int, end: float) -> None:
        self._end = end
        self._runs = runs
        self._touches = touches
        self._run = 0
        self._expected = 0
        self._seen = 0
        self._fraction = 0.0

    def feed(self, line: str) -> Step | None:
        """The step that ``line`` reports, or None."""
        for prefix, (stage, message) in _STAGES.items():
            if line.startswith(prefix):
                if stage in ("customize", "clean", "squash"):
                    self._fraction = max(self._fraction, self._end)
                return self._step(stage, message)
        if announced := _ANNOUNCED.match(line):
            self._run = min(self._run + 1, self._runs)
            self._expected = max(int(announced[1]) * self._touches, 1)
            self._seen = 0
            return None
        return self._package(line) if self._expected else None

    def _package(self, line: str) -> Step | None:
        for pattern, stage, verb in (
            (_DOWNLOADED, "download", "downloading"),
            (_UNPACKED, "install", "unpacking"),
            (_CONFIGURED, "install", "setting up"),
        ):
            if found := pattern.match(line):
                self._count()
                return self._step(stage, f"{verb} {found[1]}")
        return None

    def _count(self) -> None:
        self._seen = min(self._seen + 1, self._expected)
        done = (self._run - 1 + self._seen / self._expected) / self._runs
        self._fraction = max(self._fraction, self._START + done * (self._end - self._START))

    def _step(self, stage: str, message: str) -> Step:
        return Step(stage, message, round(self._fraction, 3))
