"""The wire format of ZeroMQ, as much of it as a client of the broker needs.

It is the DEALER's side of ZMTP 3.1 (RFC 37, https://rfc.zeromq.org/spec/37/) with the NULL
mechanism. It understands 3.0 (RFC 23) and newer versions too. Pure: bytes in, bytes out, no socket.
docs/decisions/0016-the-cli-speaks-zmtp-itself.md says why the CLI does not use the library.
"""

from shared.bus.envelope import MAX_MESSAGE
from shared.errors import BangerError, Code

MAX_BODY = MAX_MESSAGE + 4096
"""Bytes that the frames of one message may hold together. The sender checks the exact limit; this
one bounds the receiver's memory, as ZMQ_MAXMSGSIZE does in services."""
MAX_FRAMES = 16
"""Frames of one message; ours have two. ``MAX_BODY`` does not count what empty frames cost."""
MAX_COMMAND = 4096
"""Bytes of a command. READY takes some 40, PING at most 23."""
GREETING_SIZE = 64

_SIGNATURE = b"\xff" + bytes(8) + b"\x7f"
_OLDEST_VERSION = 3
_MECHANISM = b"NULL".ljust(20, b"\0")

_MORE, _LONG, _COMMAND = 1, 2, 4
_RESERVED = 0xFF & ~(_MORE | _LONG | _COMMAND)
_LONGEST_SHORT_FRAME = 255


# -- written -------------------------------------------------------------------------------


def greeting() -> bytes:
    """The first bytes of each side: the version, the mechanism, and that this is no server."""
    return (_SIGNATURE + b"\x03\x01" + _MECHANISM).ljust(GREETING_SIZE, b"\0")


def ready(socket_type: bytes) -> bytes:
    """The one command of the NULL handshake, with the one property that libzmq requires."""
    name = b"Socket-Type"
    value = len(socket_type).to_bytes(4, "big") + socket_type
    return command(b"READY", bytes((len(name),)) + name + value)


def message(*bodies: bytes) -> bytes:
    """The frames of one message."""
    *before, last = bodies
    return b"".join([*(_frame(_MORE, body) for body in before), _frame(0, last)])


def command(name: bytes, data: bytes) -> bytes:
    """The one frame of a command."""
    return _frame(_COMMAND, bytes((len(name),)) + name + data)


def pong(body: bytes) -> bytes:
    """The answer to a command: PONG with the context of a PING, no bytes for any other command."""
    if not body.startswith(b"\x04PING"):
        return b""
    return command(b"PONG", body[7:])  # a time to live of two bytes stands before the context


def _frame(flags: int, body: bytes) -> bytes:
    if len(body) > _LONGEST_SHORT_FRAME:
        return bytes((flags | _LONG,)) + len(body).to_bytes(8, "big") + body
    return bytes((flags, len(body))) + body


# -- read ----------------------------------------------------------------------------------


def check_greeting(data: bytes) -> None:
    """Check as much of a greeting as has arrived.

    Raises:
        BangerError: ``bad_message`` at the first byte that makes a connection impossible.
    """
    if data[:1] not in b"\xff" or data[9:10] not in b"\x7f":
        raise _not_a_broker("it does not greet as ZeroMQ does")
    if len(data) > 10 and data[10] < _OLDEST_VERSION:
        raise _not_a_broker(f"it speaks version {data[10]} of ZMTP")
    if not _MECHANISM.startswith(data[12:32]):
        raise _not_a_broker(f"it wants the security mechanism {data[12:32]!r}")


def check_ready(body: bytes) -> None:
    """Check the first command of the peer.

    Raises:
        BangerError: ``denied`` with the reason that an ERROR gives; ``bad_message`` for any other
            command but READY.
    """
    if body.startswith(b"\x05ERROR"):
        reason = body[7:262].decode("ascii", "replace")
        raise BangerError(Code.DENIED, f"the broker refuses the connection: {reason!r}")
    if not body.startswith(b"\x05READY"):
        raise _not_a_broker("its first command is not READY")


def next_traffic(data: bytes, start: int = 0) -> tuple[list[bytes], list[bytes], int] | None:
    """Read the next message, or the next command if that comes first, from ``start`` on.

    Returns (frames, commands, end), or None while the end has not arrived; ``frames`` is empty for
    a command. libzmq may send a heartbeat within a message, which the RFC does not foresee: such a
    command is returned with the message.

    Raises:
        BangerError: ``bad_message`` for bytes that are no frame or exceed a limit.
    """
    frames: list[bytes] = []
    commands: list[bytes] = []
    held = 0
    while (header := _frame_header(data, start)) is not None:
        flags, start, end = header
        held += end - start
        if held > MAX_BODY or len(frames) + len(commands) == MAX_FRAMES:
            raise _not_a_broker("its message is over the limit")
        if end > len(data):
            return None
        (commands if flags & _COMMAND else frames).append(data[start:end])
        if not frames or not flags & (_MORE | _COMMAND):
            return frames, commands, end
        start = end
    return None


def _frame_header(data: bytes, start: int) -> tuple[int, int, int] | None:
    """(flags, where the body begins, where it ends), or None while the header is incomplete."""
    if start >= len(data):
        return None
    flags = data[start]
    if flags & _RESERVED or flags & (_MORE | _COMMAND) == _MORE | _COMMAND:
        raise _not_a_broker(f"it sends a frame with the flags {flags:#x}")
    begin = start + (9 if flags & _LONG else 2)
    if begin > len(data):
        return None
    size = int.from_bytes(data[start + 1 : begin], "big")
    if flags & _COMMAND and size > MAX_COMMAND:
        raise _not_a_broker("its command is over the limit")
    return flags, begin, begin + size


def _not_a_broker(why: str) -> BangerError:
    return BangerError(
        Code.BAD_MESSAGE,
        f"the process on the broker's socket is not a broker: {why}",
        hint="banger daemon restart",
    )
