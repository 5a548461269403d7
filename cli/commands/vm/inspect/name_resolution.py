"""Whether a VM's name leads to it on this host, as programs look names up here."""

from threading import Thread

SECONDS = 0.5
"""A resolver that has to ask others may take many seconds to say that it knows no such name."""


def resolves(name: str, address: str) -> bool:
    """Whether ``name`` means ``address`` here; False without an answer in ``SECONDS``."""
    found: list[str] = []
    # A daemon: the command ends without a resolver that still waits.
    asking = Thread(target=_look_up, args=(name, found), daemon=True)
    asking.start()
    asking.join(SECONDS)
    return address in found


def _look_up(name: str, found: list[str]) -> None:
    import socket

    try:
        answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return
    found.extend(str(answer[4][0]) for answer in answers)
