"""Removes a VM that does not run: its files first, its row last."""

import asyncio
import errno
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from shared.bus.ask import Ask
from shared.contract.messages.vm import Vm
from shared.contract.verbs import store
from shared.errors import BangerError
from shared.host.cgroup import release
from shared.paths import Paths
from shared.vm.known_hosts import unpin

LAST_WORDS_SECONDS = 2.0
"""How long files that appear in a directory that is being removed are removed, too."""


_TRY_AGAIN = (errno.ENOTEMPTY, errno.EACCES, errno.EPERM)
_PAUSE_SECONDS = 0.02


async def remove(vm: Vm, ask: Ask, paths: Paths) -> list[BangerError | OSError]:
    """Remove files and row, the one whatever became of the other; returns what went wrong. The
    disks go first: the rest may need space on the host."""
    steps: list[Callable[[], Awaitable[object]]] = [
        lambda: remove_files(vm, paths),
        lambda: asyncio.to_thread(unpin, paths.known_hosts, vm.id),
        lambda: ask(store.VM_REMOVE(id=vm.id)),
    ]
    problems: list[BangerError | OSError] = []
    for step in steps:
        try:
            await step()
        except (BangerError, OSError) as problem:
            problems.append(problem)
    return problems


async def remove_files(vm: Vm, paths: Paths) -> None:
    """Disks, keys, logs and sockets."""
    for directory in (paths.vm_run(vm.id), paths.vm_state(vm.id)):
        await asyncio.to_thread(_remove_tree, directory)
    await asyncio.to_thread(release, vm.id)


def _remove_tree(directory: Path) -> None:
    """Once more, when a process of the VM that was killed has written its last line meanwhile, or
    when nat has not removed yet what a jailed VMM left, which belongs to another uid."""
    limit = time.monotonic() + LAST_WORDS_SECONDS
    while True:
        try:
            shutil.rmtree(directory, onerror=_unless_gone)
            return
        except OSError as error:
            if error.errno not in _TRY_AGAIN or time.monotonic() > limit:
                raise
        time.sleep(_PAUSE_SECONDS)


def _unless_gone(_function: Any, _path: str, error: Any) -> None:
    """For rmtree's onerror: a file that is gone already is no error."""
    if not isinstance(error[1], FileNotFoundError):
        raise error[1]
