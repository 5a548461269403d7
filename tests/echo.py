"""A client of a server that sends back what it gets."""

import socket
import threading


def echoed(place: tuple[str, int], payload: bytes, *, seconds: float = 20.0) -> bytes:
    """What comes back of ``payload``, whose end is said; ``seconds``: the longest silence."""
    with socket.create_connection(place, timeout=seconds) as client:
        sender = threading.Thread(target=_send, args=(client, payload))
        sender.start()
        got = b"".join(iter(lambda: client.recv(1 << 16), b""))
        sender.join()
    return got


def _send(client: socket.socket, payload: bytes) -> None:
    client.sendall(payload)
    client.shutdown(socket.SHUT_WR)
