"""Keeps the handle file of a running VM as it should be.

A full run directory, one that has vanished and a damaged file are logged and mended as soon as that
can be done. None is a reason to end.
"""

import asyncio
from pathlib import Path

from shared.errors import BangerError
from shared.logs import Log
from shared.paths import make_private
from shared.vm.handle import Handle, mend_handle, write_handle

LOOK_SECONDS = 1.0
"""Between looks at the file: it may have been truncated, or there is space again."""


def note_handle(run: Path, handle: Handle, log: Log) -> None:
    """Write the handle. What fails is logged: ``keep_handle`` writes it as soon as it can."""
    try:
        write_handle(run, handle)
    except (OSError, BangerError) as error:
        log.warning("the handle is not written yet", error=str(error))


async def keep_handle(run: Path, handle: Handle, log: Log) -> None:
    """Write the handle again whenever the file is not what it should be, until cancelled."""
    logged = False
    while True:
        try:
            if not run.exists():
                make_private(run.parents[1])  # the run directory of all
                make_private(run)
            if mend_handle(run, handle):
                log.info("the handle file was damaged or old, it is written again")
            logged = False
        except (OSError, BangerError) as error:
            if not logged:
                log.warning("the handle file cannot be mended yet", error=str(error))
            logged = True
        await asyncio.sleep(LOOK_SECONDS)
