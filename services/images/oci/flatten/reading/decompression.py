"""Layers as chunks of uncompressed bytes.

The first bytes of a blob say how it is compressed, not its media type, which some builders have
wrong: gzip (RFC 1952), zstd (RFC 8878) or not at all. A thread reads gzip ahead by ISA-L, which
takes half the time of zlib. The program of zstd reads its own, since it limits its memory:
docs/decisions/0042.
"""

import contextlib
import os
import queue
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from isal import igzip_lib, isal_zlib

from services.images.oci.flatten.limits import damaged
from services.images.oci.flatten.pipe import widen
from shared.errors import BangerError, Code
from shared.host.programs import find_program
from shared.plain_text import printable

CHUNK = 256 << 10
CHUNKS_AHEAD = 4
_INPUT = 64 << 10
_GZIP = 16 + 15
"""The window bits of zlib for gzip's own header and trailer."""
_ZSTD_MEMORY = "--memory=128MB"
"""The largest window: what zstd itself accepts without being asked for more."""

_GZIP_ERROR = cast(type[Exception], igzip_lib.IsalError)
"""Its stub takes the class for an instance."""

Advance = Callable[[int], None]
"""Is told how many bytes of the blob have been read, each time."""


@contextmanager
def uncompressed(blob: Path, advance: Advance = lambda _: None) -> Iterator[Iterator[bytes]]:
    """The chunks of a layer. At the end of the block nothing reads it any more.

    Raises:
        BangerError: ``invalid`` for data that is damaged or ends too early, ``missing_tool``.
    """
    with open(blob, "rb", buffering=0) as file:  # zstd shares the place in it
        start = file.read(4)
        file.seek(0)
        if start[:2] == b"\x1f\x8b":
            with _ahead(_gunzip(file, advance)) as chunks:
                yield chunks
        elif _is_zstd(start):
            with _zstd(file, advance) as chunks:
                yield chunks
        else:
            yield _read(file, advance)


def _is_zstd(start: bytes) -> bool:
    """A frame of data, or one that is to be skipped (RFC 8878, 3.1)."""
    magic = int.from_bytes(start, "little")
    return magic == 0xFD2FB528 or magic & 0xFFFFFFF0 == 0x184D2A50


def _read(file: BinaryIO, advance: Advance) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        advance(len(chunk))
        yield chunk


def _gunzip(file: BinaryIO, advance: Advance) -> Iterator[bytes]:
    """All members of a gzip file: builders that compress in parallel write many."""
    state = isal_zlib.decompressobj(_GZIP)
    try:
        while data := file.read(_INPUT):
            advance(len(data))
            while data:
                if state.eof:
                    if not data.strip(b"\0"):
                        break  # padding, which gzip ignores as well
                    state = isal_zlib.decompressobj(_GZIP)
                if chunk := state.decompress(data, CHUNK):
                    yield chunk
                data = state.unused_data if state.eof else state.unconsumed_tail
        if not state.eof and (chunk := state.flush()):
            yield chunk
    except _GZIP_ERROR as error:
        raise damaged(f"gzip: {printable(str(error), 200)}") from error
    if not state.eof:
        raise damaged("its gzip stream ends in the middle")


@contextmanager
def _zstd(file: BinaryIO, advance: Advance) -> Iterator[Iterator[bytes]]:
    program = find_program("zstd")
    if program is None:
        raise BangerError(Code.MISSING_TOOL, "zstd: not installed", hint="sudo apt install zstd")
    argv = [program, "-dcq", _ZSTD_MEMORY]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=file, stdout=pipe, stderr=pipe, bufsize=0) as process:
        try:
            yield _output_of(process, file.fileno(), advance)
        finally:
            process.kill()


def _output_of(
    process: "subprocess.Popen[bytes]", source: int, advance: Advance
) -> Iterator[bytes]:
    """What the program writes. Its place in the blob is that of the descriptor that it shares."""
    assert process.stdout
    assert process.stderr
    output, seen = process.stdout.fileno(), 0
    widen(output, CHUNK)
    while chunk := os.read(output, CHUNK):
        place = os.lseek(source, 0, os.SEEK_CUR)
        advance(place - seen)
        seen = place
        yield chunk
    said = process.stderr.read(_INPUT).decode(errors="replace")
    if process.wait():
        raise damaged(printable(said.strip() or f"zstd ended with {process.returncode}", 200))


@contextmanager
def _ahead(chunks: Iterator[bytes]) -> Iterator[Iterator[bytes]]:
    """The same chunks, made in a thread while the ones before them are used."""
    made: queue.Queue[bytes | BaseException | None] = queue.Queue(CHUNKS_AHEAD)
    stopped = threading.Event()

    def make() -> None:
        try:
            for chunk in chunks:
                made.put(chunk)
                if stopped.is_set():
                    return
            made.put(None)
        except BaseException as error:  # raised where the chunks are used
            made.put(error)

    def use() -> Iterator[bytes]:
        while (chunk := made.get()) is not None:
            if isinstance(chunk, BaseException):
                raise chunk
            yield chunk

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    try:
        yield use()
    finally:
        stopped.set()
        while thread.is_alive():
            with contextlib.suppress(queue.Empty):
                made.get(timeout=0.05)
        thread.join()
