"""A loopback network of this process's own: 127.N.0.0/16, and a port for its dns.

Two runs on one machine, and two workers of one run, would take each other's ports otherwise. The
network belongs to whoever has bound its last address; the kernel frees it with the process.
"""

import socket
from functools import cache

NETWORKS = range(128, 250)
"""Beside those of a user's banger (77), of L1 (76) and of the smoke suite (78 and up)."""
LOCK_PORT = 42069
FIRST_DNS_PORT = 43000


@cache
def _lock() -> tuple[int, socket.socket]:
    """The number of the network, and what keeps others out of it."""
    for number in NETWORKS:
        lock = socket.socket()
        try:
            lock.bind((f"127.{number}.255.254", LOCK_PORT))
        except OSError:
            lock.close()
            continue
        return number, lock
    raise RuntimeError(f"all {len(NETWORKS)} loopback networks for tests are taken")


def address(last: int) -> str:
    """127.N.255.``last``, which no VM gets: those are given from the lowest on."""
    return f"127.{_lock()[0]}.255.{last}"


def subnet() -> str:
    """All of it: what VMs of these tests get their addresses from."""
    return f"127.{_lock()[0]}.0.0/16"


def configuration() -> str:
    """Lines for config.toml, before any table: the subnet of VMs, and dns's port."""
    return f'user_subnet = "{subnet()}"\ndns.port = {FIRST_DNS_PORT + _lock()[0]}\n'


OWN_ADDRESS = address(1)
"""For a test that needs one address; no test of another process listens there."""
