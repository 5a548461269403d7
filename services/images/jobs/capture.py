"""``capture``: the layer of a stopped VM, and its work seed, as files of an image."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

from services.images.capture.ext4 import ROOT_INODE, Ext4
from services.images.capture.layer import LayerEntry, layer_entries, tree_entries
from services.images.capture.tar_stream import write_tar
from services.images.jobs.requests import CaptureJob
from services.images.library.describe import SEED, SQUASHFS
from services.images.oci.flatten.reading.member import LayerMember, MemberKind
from services.images.oci.flatten.tree.inode import DirectoryInode
from services.images.oci.flatten.writing.squashfs import squashfs_writer
from shared.errors import BangerError, Code
from shared.host.programs import find_program
from shared.plain_text import printable
from shared.vm import files
from shared.workers.job import JobContext

_LEFT_OUT_OF_SEED = (b"lost+found",)


def run(request: CaptureJob, context: JobContext) -> None:
    """Raises as ``layer_entries`` and ``squashfs_writer``."""
    output, vm_state = Path(request.output), Path(request.vm_state)

    def progress(written: int) -> None:
        context.progress("capture", f"{written >> 20} MiB")

    with _opened(vm_state / files.OVERLAY) as disk:
        entries = layer_entries(disk)
        root = next(entries)
        with squashfs_writer(output / SQUASHFS, _root(root)) as archive:
            write_tar(disk, entries, archive, progress)
    if request.work_seed:
        with _opened(vm_state / files.WORK_DISK) as disk:
            write_seed(disk, output / SEED)


def _opened(path: Path) -> Ext4:
    try:
        return Ext4(path)
    except FileNotFoundError as error:
        raise BangerError(
            Code.NOT_FOUND, "the VM has never run: it has changed nothing",
            hint="start it, change what the image is to have, and stop it",
        ) from error  # fmt: skip
    except PermissionError as error:
        raise BangerError(Code.DENIED, f"cannot read {path}: {error.strerror}") from error


def _root(entry: LayerEntry) -> DirectoryInode:
    inode = entry.inode
    mode, mtime = inode.mode & 0o7777, max(0, inode.mtime)
    return DirectoryInode(
        LayerMember(path=(), kind=MemberKind.DIRECTORY, mode=mode, uid=0, gid=0, mtime=mtime)
    )


def write_seed(disk: Ext4, output: Path) -> None:
    """Write what is on a work disk into ``output`` as tar.zst. Raises ``missing_tool``."""
    zstd = find_program("zstd")
    if zstd is None:
        raise BangerError(Code.MISSING_TOOL, "zstd: not installed", hint="sudo apt install zstd")
    with output.open("xb") as file:
        packer = subprocess.Popen(
            [zstd, "-q", "-c"], stdin=subprocess.PIPE, stdout=file, stderr=subprocess.PIPE
        )
        assert packer.stdin
        assert packer.stderr
        try:
            write_tar(disk, _seed_entries(disk), packer.stdin.fileno(), lambda _: None)
        except BrokenPipeError:
            pass  # what it says tells why
        finally:
            packer.stdin.close()
            said = packer.stderr.read(4096).decode(errors="replace")
            status = packer.wait()
    if status:
        code = Code.NO_SPACE if "No space left" in said else Code.INTERNAL
        raise BangerError(code, f"zstd failed: {printable(said, 300)}")


def _seed_entries(disk: Ext4) -> Iterable[LayerEntry]:
    for entry in tree_entries(disk, ROOT_INODE):
        if entry.path.partition(b"/")[0] not in _LEFT_OUT_OF_SEED:
            yield entry
