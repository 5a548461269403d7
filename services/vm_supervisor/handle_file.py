"""The handle file of a VM that runs, kept as it should be. A run directory that is full, or a file
that somebody has damaged, is told and mended; neither is a reason to end."""

import asyncio
from pathlib import Path

from shared.errors import BangerError
from shared.logs import Log
from shared.vm.handle import Handle, mend_handle, write_handle

LOOKED_AT = 1.0
"""Seconds between looks: somebody may have truncated it, or there is space again."""


def note_handle(run: Path, handle: Handle, log: Log) -> None:
    """Write it now if that can be; else ``keep_handle`` does as soon as it can."""
    try:
        write_handle(run, handle)
    except (OSError, BangerError) as error:
        log.warning("the handle is not written yet", error=str(error))


async def keep_handle(run: Path, handle: Handle, log: Log) -> None:
    """Write it again whenever the file is not what it should be, until cancelled."""
    told = False
    while True:
        try:
            if mend_handle(run, handle):
                log.info("the handle file was damaged or old, it is written again")
            told = False
        except (OSError, BangerError) as error:
            if not told:
                log.warning("the handle file cannot be mended yet", error=str(error))
            told = True
        await asyncio.sleep(LOOKED_AT)
