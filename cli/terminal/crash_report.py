"""The traceback of a bug goes to a log, not to the terminal."""

import traceback
from pathlib import Path

from shared.logs import Log
from shared.paths import Paths


def record(error: Exception) -> Path | None:
    """Append the traceback to ``logs/cli.log``; returns the path, or None if that failed."""
    path = Paths.from_environment().log_file("cli")
    try:
        log = Log(path, "cli")
    except OSError:
        return None
    text = "".join(traceback.format_exception(error))
    log.error(f"{type(error).__name__}: {error}", traceback=text)
    log.close()
    return path
