"""sqfstar as the reader of the archive: it packs what it reads into a squashfs.

It parses only what ``member_block`` wrote, never an archive of somebody else.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from services.images.oci.flatten.pipe import widen
from services.images.oci.flatten.tree.inode import DirectoryInode
from shared.errors import BangerError, Code
from shared.host.programs import find_program, search_path
from shared.plain_text import printable

_OPTIONS = ("-comp", "lz4", "-mem", "32M", "-quiet", "-no-progress")
"""lz4 as for images that are built here. With more memory it is no faster: docs/decisions/0042."""
_PIPE_BYTES = 1 << 20
_SAID_BYTES = 4096


@contextmanager
def squashfs_writer(output: Path, root: DirectoryInode) -> Iterator[int]:
    """The descriptor that takes the archive; at the end of the block ``output`` is complete.

    sqfstar ignores a member for the root directory and takes its mode as an option. Its date is
    that of the day (4.5 ignores -root-time), and its owner whoever runs sqfstar: an ordinary user
    runs it as root of a user namespace.

    Raises:
        BangerError: ``missing_tool``, ``no_space``, ``internal``. ``output`` is not there then.
    """
    with os.fdopen(os.memfd_create("sqfstar"), "w+b") as said:  # the disk may be full
        process = _start(output, root, said)
        assert process.stdin
        try:
            yield process.stdin.fileno()
            process.stdin.close()
            if process.wait():
                raise _failure(process, said)
        except BaseException as error:
            end = error
            if isinstance(error, BrokenPipeError):
                process.wait()
                end = _failure(process, said)
            process.kill()
            process.wait()
            output.unlink(missing_ok=True)
            raise end from None
        finally:
            process.stdin.close()


def _start(output: Path, root: DirectoryInode, said: IO[bytes]) -> "subprocess.Popen[bytes]":
    program = find_program("sqfstar")
    if program is None:
        hint = "sudo apt install squashfs-tools"
        raise BangerError(Code.MISSING_TOOL, "sqfstar: not installed", hint=hint)
    as_root = () if os.geteuid() == 0 else ("unshare", "--user", "--map-root-user", "--")
    mode = f"{root.mode:04o}"
    process = subprocess.Popen(
        [*as_root, program, *_OPTIONS, "-root-mode", mode, str(output)],
        stdin=subprocess.PIPE,
        stdout=said,
        stderr=said,
        env={**os.environ, "LC_ALL": "C.UTF-8", "PATH": search_path()},
        bufsize=0,
    )
    assert process.stdin
    widen(process.stdin.fileno(), _PIPE_BYTES)
    return process


def _failure(process: "subprocess.Popen[bytes]", said: IO[bytes]) -> BangerError:
    said.seek(max(0, said.seek(0, os.SEEK_END) - _SAID_BYTES))
    lines = said.read().decode(errors="replace").strip().splitlines()
    reason = next((line for line in lines if "No space left" in line), "")
    if reason:
        return BangerError(
            Code.NO_SPACE,
            "the image does not fit on the disk",
            hint="see what takes it: banger system df; remove downloads: banger image prune",
        )
    last = printable(lines[-1] if lines else f"status {process.returncode}", 300)
    return BangerError(Code.INTERNAL, f"sqfstar failed: {last}")
