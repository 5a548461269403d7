"""The program ``adjust`` of a guest: new entropy for the kernel, a step of its clock, and new
addresses for its network devices.

No program of busybox does the first two: the pool takes a new seed into use by the ioctl
RNDRESEEDCRNG (random(4)), and clock_adjtime(2) moves a clock by a difference, so that it does not
matter when the guest comes to run. A guest has no other program that is certain to be there, so
this one is 408 bytes that are made here (docs/decisions/0052).
The addresses (SIOCSIFHWADDR, netdevice(7)) are here because a copy that somebody waits for starts
one program less::

    adjust /dev/random [DEVICE [DEVICE]] <message

It reads the whole message from standard input, mixes the seed into the pool and credits it, has the
random generators reseeded, moves CLOCK_REALTIME, and gives each device its address of the message.
Its status is 0, or the errno of what failed first; EINVAL for a message that is cut short.
"""

import struct
from collections.abc import Sequence

ARGV = ["/run/initramfs/bin/adjust", "/dev/random"]
SEED_BYTES = 64
DEVICES_MAX = 2

_MESSAGE = struct.Struct(f"<qqii{SEED_BYTES}s")
"""A difference in seconds and microseconds, as the ``time`` of struct timex with ADJ_SETOFFSET, and
a struct rand_pool_info: bits of entropy, bytes of seed, seed."""
_ADDRESS = struct.Struct("<H6s8x")
"""A struct sockaddr: family and address of a device."""
_ETHERNET = 1
"""ARPHRD_ETHER."""

# Intel syntax: the GNU assembler makes these bytes of it.
LISTING = """
    sub rsp, 0x180              | 48 81 ec 80 01 00 00     # struct timex; message at +0x100
    xor ebx, ebx                | 31 db
read:
    lea rsi, [rsp+rbx+0x100]    | 48 8d b4 1c 00 01 00 00
    mov edx, 120                | ba 78 00 00 00           # read(0, rest of the message)
    sub edx, ebx                | 29 da
    jz pool                     | 74 1c
    xor edi, edi                | 31 ff
    xor eax, eax                | 31 c0
    syscall                     | 0f 05
    add ebx, eax                | 01 c3
    test eax, eax               | 85 c0
    jg read                     | 7f e3
    js end                      | 0f 88 e9 00 00 00
    mov eax, -22                | b8 ea ff ff ff           # EINVAL: it ended early
    jmp end                     | e9 df 00 00 00
pool:
    mov rdi, [rsp+0x190]        | 48 8b bc 24 90 01 00 00  # open(argv[1], O_RDONLY)
    xor esi, esi                | 31 f6
    mov eax, 2                  | b8 02 00 00 00
    syscall                     | 0f 05
    test eax, eax               | 85 c0
    js end                      | 0f 88 c6 00 00 00
    mov edi, eax                | 89 c7
    mov esi, 0x40085203         | be 03 52 08 40           # RNDADDENTROPY
    lea rdx, [rsp+0x110]        | 48 8d 94 24 10 01 00 00
    mov eax, 16                 | b8 10 00 00 00
    syscall                     | 0f 05
    test eax, eax               | 85 c0
    js end                      | 0f 88 a8 00 00 00
    mov esi, 0x5207             | be 07 52 00 00           # RNDRESEEDCRNG
    mov eax, 16                 | b8 10 00 00 00
    syscall                     | 0f 05
    test eax, eax               | 85 c0
    js end                      | 0f 88 94 00 00 00
    mov rax, [rsp+0x100]        | 48 8b 84 24 00 01 00 00
    mov rcx, [rsp+0x108]        | 48 8b 8c 24 08 01 00 00
    mov [rsp+72], rax           | 48 89 44 24 48           # timex.time
    mov [rsp+80], rcx           | 48 89 4c 24 50
    or rax, rcx                 | 48 09 c8
    jz devices                  | 74 17                    # nothing to move
    mov dword ptr [rsp], 0x100  | c7 04 24 00 01 00 00     # ADJ_SETOFFSET
    xor edi, edi                | 31 ff
    mov rsi, rsp                | 48 89 e6
    mov eax, 305                | b8 31 01 00 00           # clock_adjtime(CLOCK_REALTIME, &timex)
    syscall                     | 0f 05
    test eax, eax               | 85 c0
    js end                      | 78 5e
devices:
    mov edi, 2                  | bf 02 00 00 00           # socket(AF_INET, SOCK_DGRAM, 0)
    mov esi, 2                  | be 02 00 00 00
    xor edx, edx                | 31 d2
    mov eax, 41                 | b8 29 00 00 00
    syscall                     | 0f 05
    test eax, eax               | 85 c0
    js end                      | 78 47
    mov edi, eax                | 89 c7
    lea rbx, [rsp+0x198]        | 48 8d 9c 24 98 01 00 00  # argv[2]
    lea rbp, [rsp+0x158]        | 48 8d ac 24 58 01 00 00  # its address in the message
next:
    mov rax, [rbx]              | 48 8b 03
    test rax, rax               | 48 85 c0
    jz end                      | 74 2d
    movups xmm0, [rax]          | 0f 10 00                 # a struct ifreq: name and address
    movups [rsp], xmm0          | 0f 11 04 24
    movups xmm0, [rbp]          | 0f 10 45 00
    movups [rsp+16], xmm0       | 0f 11 44 24 10
    mov esi, 0x8924             | be 24 89 00 00           # SIOCSIFHWADDR
    mov rdx, rsp                | 48 89 e2
    mov eax, 16                 | b8 10 00 00 00
    syscall                     | 0f 05
    test eax, eax               | 85 c0
    js end                      | 78 0a
    add rbx, 8                  | 48 83 c3 08
    add rbp, 16                 | 48 83 c5 10
    jmp next                    | eb cb
end:
    neg eax                     | f7 d8
    mov edi, eax                | 89 c7
    mov eax, 60                 | b8 3c 00 00 00           # exit(errno)
    syscall                     | 0f 05
"""
_BASE = 0x400000
_HEADERS = struct.Struct("<16sHHIQQQIHHHHHHIIQQQQQQ")
"""Elf64_Ehdr and one Elf64_Phdr (elf(5))."""


def message(offset_us: int, seed: bytes, macs: Sequence[str] = ()) -> bytes:
    """What the program reads.

    It moves the clock by ``offset_us`` microseconds, 0 for not at all, mixes in ``seed``, of
    ``SEED_BYTES`` bytes, and gives the devices that its arguments name ``macs``
    ("52:54:00:12:34:56"), at most ``DEVICES_MAX``.
    """
    if len(seed) != SEED_BYTES:
        raise ValueError(f"a seed has {SEED_BYTES} bytes, not {len(seed)}")
    if len(macs) > DEVICES_MAX:
        raise ValueError(f"a message has at most {DEVICES_MAX} addresses, not {len(macs)}")
    seconds, micros = divmod(offset_us, 1_000_000)
    addresses = b"".join(_ADDRESS.pack(_ETHERNET, _mac_bytes(mac)) for mac in macs)
    return _MESSAGE.pack(seconds, micros, 8 * SEED_BYTES, SEED_BYTES, seed) + addresses.ljust(
        DEVICES_MAX * _ADDRESS.size, b"\0"
    )


def _mac_bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def program() -> bytes:
    """The executable: a static ELF file for x86-64 Linux, one segment."""
    code = machine_code(LISTING)
    size = _HEADERS.size + len(code)
    identity = b"\x7fELF\x02\x01\x01"  # 64 bits, little-endian
    executable, x86_64, loaded, readable_and_executable = 2, 62, 1, 5
    headers = _HEADERS.pack(
        identity, executable, x86_64, 1, _BASE + _HEADERS.size, 64, 0, 0, 64, 56, 1, 0, 0, 0,
        loaded, readable_and_executable, 0, _BASE, _BASE, size, size, 0x1000,
    )  # fmt: skip
    return headers + code


def machine_code(listing: str) -> bytes:
    """The bytes of a listing: between ``|`` and ``#`` of each line."""
    columns = (line.partition("|")[2].partition("#")[0] for line in listing.splitlines())
    return bytes.fromhex("".join(columns))
