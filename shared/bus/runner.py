"""The start of a service's process: configuration, log, loop, and the lock there is one of.

A service's ``__main__`` is a call of ``start_service``; its ``on_start`` takes the lock by ``own``.
A service that owns something in the state directory is a member of the one stack that serves it.
"""

import asyncio
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from shared.bus import open_files
from shared.bus.actor import Actor
from shared.bus.socket import close_context
from shared.config import Config, load_config
from shared.errors import BangerError, Code
from shared.host.locks import Lock
from shared.host.retry import poll_async
from shared.logs import Log
from shared.paths import Paths, become_member


def start_service(
    name: str,
    paths: Paths,
    make: Callable[[Log, Config], Actor],
    *,
    member: bool = False,
    log_file: Path | None = None,
    config_file: Path | None = None,
) -> int:
    """The body of a service's ``__main__``: serve until told to stop; returns the exit status.

    ``make`` is called with the loop running, since sockets register with it. ``member``: as
    ``become_member``. A BangerError at the start is one line on stderr, like the CLI's.
    """

    async def main() -> int:
        membership = become_member(paths) if member else None
        config = load_config(config_file or paths.config_file)
        log = Log(log_file or paths.log_file(name), name, level=config.log_level)
        asyncio.get_running_loop().set_exception_handler(partial(_log_unhandled, log))
        actor = make(log, config)
        await actor.run()
        if membership:
            membership.release()
        return int(actor.background.failed)

    open_files.raise_limit()
    try:
        status = asyncio.run(main())
    except BangerError as error:
        sys.stderr.write(error.to_text())
        return error.exit_status
    close_context()
    return status


def _log_unhandled(log: Log, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An error in a callback or a forgotten task: into the log, which has a limit. asyncio's own
    handler writes to stderr."""
    error = context.get("exception")
    trace = "".join(traceback.format_exception(error)) if error else ""
    log.error("unhandled in the event loop", what=context.get("message", ""), traceback=trace)


async def own(path: Path, *, patience: float = 5.0) -> Lock:
    """The lock of a service of which there must be one; waits while a predecessor ends.

    Raises:
        BangerError: ``conflict`` when it is still held after ``patience`` seconds.
    """
    lock = await poll_async(lambda: Lock.try_acquire(path), time.monotonic() + patience)
    if lock is None:
        raise BangerError(Code.CONFLICT, f"another process holds {path}")
    return lock
