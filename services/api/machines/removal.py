"""Removes a VM that does not run: its files first, its row last."""

import asyncio
import contextlib
import errno
import secrets
import shutil
import threading
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
from shared.vm.handle import remove_handle
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
    await asyncio.to_thread(remove_handle, paths.vm_run(vm.id))
    await asyncio.to_thread(_remove_tree, paths.vm_run(vm.id))
    await asyncio.to_thread(_put_away, paths.vm_state(vm.id), paths.trash)
    await asyncio.to_thread(release, vm.id)


def _put_away(directory: Path, trash: Path) -> None:
    """To unlink disks takes a busy filesystem a tenth of a second, to rename them nothing: nobody
    waits for the former."""
    target = trash / f"{directory.name}-{secrets.token_hex(4)}"
    try:
        trash.mkdir(mode=0o700, exist_ok=True)
        if not directory.is_dir():
            raise NotADirectoryError(directory)
        directory.rename(target)
    except OSError:  # the filesystem may be full
        _remove_tree(directory)
    else:
        threading.Thread(target=_empty, args=(trash,), daemon=True).start()


def _empty(trash: Path) -> None:
    """Whatever cannot be removed is tried again with the next VM, and by the next api."""
    with contextlib.suppress(OSError):
        for directory in list(trash.iterdir()):
            shutil.rmtree(directory, ignore_errors=True)


def empty_trash(paths: Paths) -> None:
    """Remove what an earlier api has put away."""
    _empty(paths.trash)


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
