"""Writes an image, with those below it, as one archive."""

import hashlib
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from msgspec.structs import replace

from services.images.archive.contents import (
    BLOCK,
    FORMAT,
    HEAD,
    ArchiveHead,
    encode_head,
    members_of,
)
from services.images.library.manifest import ImageManifest, broken
from shared.errors import BangerError, Code
from shared.host.files import is_full
from shared.host.programs import find_program

OnBytes = Callable[[int], None]
_CHUNK = 1 << 20
_ZSTD = ("-q", "-3", "-T0", "-c")


def write_archive(
    stack: Sequence[ImageManifest],
    directory_of: Callable[[ImageManifest], Path],
    output: Path,
    advance: OnBytes = lambda _: None,
) -> int:
    """Write the images of ``stack``, topmost first, into ``output``; returns its size in bytes.

    ``advance`` is told of bytes that were read. The files are held to their sums on the way.

    Raises:
        BangerError: ``invalid`` for an image that is damaged, ``no_space``, ``denied``,
            ``missing_tool``.
    """
    images = [replace(each, external="", external_mtime_ns=0) for each in reversed(stack)]
    head = ArchiveHead(format=FORMAT, images=images)
    try:
        with _compressed(output) as sink:
            content = encode_head(head)
            sink.write(_header(HEAD, len(content)) + _padded(content))
            for member in members_of(head):
                sink.write(_header(member.name, member.sum.size))
                path = directory_of(member.image) / member.file
                found = _copy(path, sink, advance)
                if found != (member.sum.size, member.sum.sha256):
                    raise broken(path.parent, f"{member.file} has another content than it had")
            sink.write(bytes(2 * BLOCK))
        return output.stat().st_size
    except OSError as error:
        code = Code.NO_SPACE if is_full(error) else Code.DENIED
        raise BangerError(code, f"cannot write {output}: {error.strerror}") from error


def _header(name: str, size: int) -> bytes:
    """In GNU's format, whose sizes have no limit."""
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % BLOCK)


def _copy(path: Path, sink: IO[bytes], advance: OnBytes) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            sink.write(chunk)
            advance(len(chunk))
    sink.write(bytes(-size % BLOCK))
    return size, digest.hexdigest()


@contextmanager
def _compressed(output: Path) -> Iterator[IO[bytes]]:
    """What is written goes through zstd into ``output``, which is on the disk at the end of the
    block."""
    program = find_program("zstd")
    if program is None:
        raise BangerError(Code.MISSING_TOOL, "zstd: not installed", hint="sudo apt install zstd")
    with (
        open(output, "wb") as file,
        subprocess.Popen(
            [program, *_ZSTD], stdin=subprocess.PIPE, stdout=file, stderr=subprocess.PIPE
        ) as process,
    ):
        assert process.stdin
        assert process.stderr
        try:
            yield process.stdin
            process.stdin.close()
        except BrokenPipeError:
            pass  # zstd has ended, and says why below
        except BaseException:
            process.kill()
            raise
        finally:
            with suppress(OSError):
                process.stdin.close()
        said = process.stderr.read().decode(errors="replace").strip()
        if process.wait():
            code = Code.NO_SPACE if "No space left" in said else Code.DENIED
            raise BangerError(code, f"cannot write {output}: {said[-300:]}")
        os.fsync(file.fileno())
