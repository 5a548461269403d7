"""Where a traceback goes that no user should have to look at."""

import traceback
from pathlib import Path

from shared.logs import Log
from shared.paths import Paths


def record(error: Exception) -> Path | None:
    """Append the traceback to ``logs/cli.log``; None when that cannot be written either."""
    path = Paths.from_environment().log_file("cli")
    try:
        log = Log(path, "cli")
    except OSError:
        return None
    text = "".join(traceback.format_exception(error))
    log.error(f"{type(error).__name__}: {error}", traceback=text)
    log.close()
    return path
