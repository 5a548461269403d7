"""The JSON log lines of the services: as people read them, and by request."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cli.terminal.tail import lines
from shared.paths import Paths
from shared.plain_text import printable
from shared.vm import files

SHOWN = ("time", "level", "service", "pid", "message", "request", "traceback")


def show(line: bytes) -> str:
    """ "09:30:00.123 info api started name=web"; a line that is not JSON stays as it is. A terminal
    only prints the text."""
    entry = parse(line)
    if entry is None:
        return printable(line.decode(errors="replace"))
    rest = " ".join(f"{key}={value}" for key, value in entry.items() if key not in SHOWN)
    clock = str(entry.get("time", ""))[11:23]
    request = f"[{str(entry['request'])[:8]}] " if entry.get("request") else ""
    words = (clock, entry.get("level"), entry.get("service"), f"{request}{entry.get('message')}")
    trace = str(entry.get("traceback") or "").rstrip().splitlines()
    shown = (" ".join(str(word) for word in (*words, rest) if word), *trace)
    return "\n".join(map(printable, shown))


def parse(line: bytes) -> dict[str, Any] | None:
    """The entry on one line, or None when it is not a JSON object."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def log_files(paths: Paths) -> list[Path]:
    """Every log that may hold lines of a request: the services' and the supervisors'."""
    return [
        *sorted(paths.logs.glob("*.log*")),
        *sorted(paths.state.glob(f"vms/*/{files.SUPERVISOR_LOG}*")),
    ]


def of_request(files: Iterable[Path], request: str) -> list[bytes]:
    """All lines whose request id begins with ``request``, ordered by time."""
    found: list[tuple[str, bytes]] = []
    for path in files:
        for line in lines(path, follow=False):
            if os.fsencode(request) not in line:
                continue
            entry = parse(line)
            if entry and str(entry.get("request", "")).startswith(request):
                found.append((str(entry.get("time", "")), line))
    return [line for _, line in sorted(found, key=lambda pair: pair[0])]
