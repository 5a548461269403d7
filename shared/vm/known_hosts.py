"""The host keys of all VMs in one known_hosts file, for plain ssh and for libraries that read it.

Each VM has one line of sshd(8)'s SSH_KNOWN_HOSTS format, with every name of the VM::

    web.vm,0123456789ab.vm,0123456789ab,127.77.0.2 ssh-ed25519 AAAA…

There are no patterns and no hashes, so every program understands it. Several processes write the
file: each change is made under a lock.
"""

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.host.files import write_atomically

SSH_PORT = 22
SUFFIX = ".vm"


def names_of(vm_id: str, name: str, address: str, port: int = SSH_PORT) -> list[str]:
    """What a VM is called; an address with another port than 22 is written as OpenSSH does."""
    place = address if port == SSH_PORT else f"[{address}]:{port}"
    return [f"{name}{SUFFIX}", f"{vm_id}{SUFFIX}", vm_id, place]


def pin(path: Path, names: Iterable[str], key: str) -> None:
    """Make ``key`` ("ssh-ed25519 AAAA…") the only one of ``names``, whoever had them before."""
    new = list(names)

    def change(lines: list[tuple[list[str], str]]) -> list[tuple[list[str], str]]:
        others = [([each for each in old if each not in new], kept) for old, kept in lines]
        return [*((old, kept) for old, kept in others if old), (new, key)]

    _change(path, change)


def unpin(path: Path, vm_id: str) -> None:
    """Forget the key of a VM."""
    _change(path, lambda lines: [line for line in lines if vm_id not in line[0]])


def rename(path: Path, vm_id: str, name: str) -> None:
    """Call a VM by another name. One that was never started has no key yet."""

    def change(lines: list[tuple[list[str], str]]) -> list[tuple[list[str], str]]:
        new = f"{name}{SUFFIX}"
        return [([new, *names[1:]] if vm_id in names else names, key) for names, key in lines]

    _change(path, change)


def pinned(path: Path, name: str) -> bool:
    """Whether the host ``name`` has a key."""
    return any(name in names for names, _ in _read(path))


def _change(
    path: Path, change: Callable[[list[tuple[list[str], str]]], list[tuple[list[str], str]]]
) -> None:
    with _locked(path.with_name(f"{path.name}.lock")):
        before = _read(path)
        after = change(before)
        if after != before:
            text = "".join(f"{','.join(names)} {key}\n" for names, key in after)
            write_atomically(path, text.encode())


def _read(path: Path) -> list[tuple[list[str], str]]:
    try:
        text = path.read_text(errors="replace")
    except FileNotFoundError:
        return []
    lines = (line.partition(" ") for line in text.splitlines() if " " in line)
    return [(names.split(","), key) for names, _, key in lines]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # held for a few milliseconds at most
        yield
    finally:
        os.close(descriptor)
