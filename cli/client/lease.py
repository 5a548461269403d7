"""A lease: what tells the services that a command is there, and by its end that it is gone."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from shared.host.locks import Lock
from shared.paths import Paths


@contextmanager
def lease() -> Iterator[str]:
    """Inside, the lease given is held; after it, or the end of this process, it is not.

    A VM that is created with it is deleted by the services when nobody holds it.
    """
    directory = Paths.from_environment().leases
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = os.urandom(8).hex()
    lock = Lock.try_acquire(directory / name)
    assert lock, "the name is new"
    try:
        yield name
    finally:
        lock.path.unlink(missing_ok=True)
        lock.release()
