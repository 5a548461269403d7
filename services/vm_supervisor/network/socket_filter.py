"""Filter programs for sockets (Documentation/networking/filter.rst of Linux).

The kernel runs the program for each frame that arrives and drops the frame when it gives 0.
"""

import socket
import struct
from collections.abc import Sequence

Step = tuple[int, int, int, int]
"""An instruction: its code, the steps to skip when it is true and when it is false, its operand."""

LOAD_WORD, LOAD_HALF, LOAD_BYTE = 0x20, 0x28, 0x30
LOAD_HALF_AFTER_HEADER = 0x48
"""At the operand and the length of the header."""
LOAD_HEADER_LENGTH = 0xB1
"""That of the IPv4 header at the operand."""
MASK, EQUAL, TEST_BITS, GIVE = 0x54, 0x15, 0x45, 0x06
WHOLE = 65536
"""Given for a frame that passes: no more than this many bytes of it."""

_SO_ATTACH_FILTER, _SO_LOCK_FILTER = 26, 44
"""From socket(7). Python has no names for them."""


def attach(sock: socket.socket, program: Sequence[Step]) -> None:
    """Have the kernel filter what ``sock`` receives, for as long as it is open."""
    import ctypes  # a megabyte that only VMs with a filter pay

    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    argument = struct.pack("HL", len(program), ctypes.addressof(code))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, argument)
    sock.setsockopt(socket.SOL_SOCKET, _SO_LOCK_FILTER, 1)
