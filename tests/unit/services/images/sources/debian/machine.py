"""A machine whose mmdebstrap is a script: it notes what it was asked and prints a prepared tar."""

import io
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

SCRIPT = """#!/bin/sh
for word; do printf '%s\\n' "$word"; done >"{place}/asked"
cat "{place}/said" >&2
cat "{place}/tar"
exit $(cat "{place}/status")
"""


class BuildMachine:
    """``area`` is where builds work; nothing may be left in it."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._place = place
        self.area = place / "area"
        self.area.mkdir()
        programs = place / "bin"
        programs.mkdir()
        for name, text in (
            ("mmdebstrap", SCRIPT.format(place=place)),
            ("apt-get", "#!/bin/sh\n"),
            ("newuidmap", "#!/bin/sh\n"),
        ):
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("TMPDIR", str(self.area))
        self.answers({})

    def answers(self, files: Mapping[str, bytes], said: str = "", status: int = 0) -> None:
        """What mmdebstrap prints: a tar of ``files``, ``said`` on stderr."""
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as archive:
            for name, data in files.items():
                entry = tarfile.TarInfo(f"./{name}")
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        (self._place / "tar").write_bytes(content.getvalue())
        (self._place / "said").write_text(said)
        (self._place / "status").write_text(str(status))

    @property
    def asked(self) -> list[str]:
        """The arguments of the last run."""
        return (self._place / "asked").read_text().splitlines()


class Reports(list[tuple[str, str]]):
    """(stage, message) of everything reported."""

    def __call__(self, stage: str, message: str, fraction: float | None) -> None:
        assert fraction is None or 0 <= fraction <= 1
        self.append((stage, message))
