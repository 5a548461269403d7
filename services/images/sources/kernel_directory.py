"""A kernel of the user's, from a directory.

Either a directory that banger has published, here or on another machine, or one that holds a boot
image, ``vmlinuz`` or ``vmlinuz-VERSION``, and its modules in ``[lib/]modules/VERSION``.
"""

import asyncio
import os
import shutil
from pathlib import Path

import msgspec
from msgspec.structs import replace

from services.images.library.library import PUBLISHED, Library
from services.images.library.manifest import FILE_NAME, KernelManifest, sum_file
from services.images.library.scratch import Scratch, remove_tree
from services.images.library.single_flight import ReportProgress
from services.images.pipeline import require
from services.images.sources.debian.kernel import KernelFiles, describe_kernel
from shared.errors import BangerError, Code
from shared.host.files import is_full, require_space
from shared.plain_text import printable

_TOOLS = "tools.squashfs"
_SHOWN = 200


async def import_kernel(
    directory: Path,
    name: str,
    library: Library[KernelManifest],
    work: Scratch,
    progress: ReportProgress,
) -> KernelManifest:
    """Leave the files of the kernel in ``work`` and return their manifest.

    Raises:
        BangerError: ``invalid`` for a directory that does not hold a kernel, or not the one that
            its manifest describes; ``missing_tool``, ``no_space``, ``denied``.
    """
    try:
        if (directory / FILE_NAME).is_file():
            progress("copy", f"copying {directory}", None)
            return await asyncio.to_thread(_copy_published, directory, name, work.path)
        return await _make(directory, name, library, work, progress)
    except OSError as error:
        code = Code.NO_SPACE if is_full(error) else Code.DENIED
        what = error.filename or directory
        raise BangerError(code, f"cannot import {what}: {error.strerror}") from error


def _copy_published(directory: Path, name: str, work: Path) -> KernelManifest:
    try:
        found = msgspec.json.decode((directory / FILE_NAME).read_bytes(), type=KernelManifest)
    except msgspec.MsgspecError as error:
        what = printable(str(error), _SHOWN)
        raise _refused(directory, f"{FILE_NAME} is not valid: {what}") from error
    if found.id != found.content_id() or not set(found.files) <= PUBLISHED["kernel"]:
        raise _refused(directory, f"{FILE_NAME} does not describe a kernel of banger's")
    require_space(work, sum(file.size for file in found.files.values()), f"the kernel {name}")
    for file, expected in found.files.items():
        with open(directory / file, "rb") as source, open(work / file, "xb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        if sum_file(work / file) != expected:
            raise _refused(directory, f"{file} is another than {FILE_NAME} describes")
    return replace(found, name=name)


async def _make(
    directory: Path,
    name: str,
    library: Library[KernelManifest],
    work: Scratch,
    progress: ReportProgress,
) -> KernelManifest:
    require("depmod", "mksquashfs", "cp")
    unpacked = work.path / "unpacked"
    version = await asyncio.to_thread(_gather, directory, unpacked)
    files = KernelFiles(name, work, unpacked)
    progress("kernel", "taking the kernel out of its boot image", 0.3)
    await files.take_kernel()
    progress("modules", "indexing and packing the modules", 0.5)
    await files.take_modules(version)
    await asyncio.to_thread(_borrow_tools, library, work.path)
    await asyncio.to_thread(remove_tree, unpacked)
    source = f"directory:{directory.name}"
    return await asyncio.to_thread(describe_kernel, work.path, name, source, version)


def _gather(directory: Path, unpacked: Path) -> str:
    """Copy what is needed as a package has it. Returns the version of the kernel."""
    images = [*directory.glob("vmlinuz"), *directory.glob("vmlinuz-*")]
    trees = [tree for at in ("modules", "lib/modules") for tree in (directory / at).glob("*")]
    versions = [tree for tree in trees if tree.is_dir()]
    if len(images) != 1 or len(versions) != 1:
        raise _refused(
            directory, f"it has {len(images)} boot images and modules of {len(versions)} versions"
        )
    version = versions[0].name
    size = sum(path.lstat().st_size for path in versions[0].rglob("*"))
    require_space(unpacked.parent, 2 * size, f"the kernel {version}")
    (unpacked / "boot").mkdir(parents=True)
    shutil.copyfile(images[0], unpacked / "boot" / f"vmlinuz-{version}")
    # Links are left out: "build" and "source" lead to trees that this kernel was made in.
    target = unpacked / "lib" / "modules" / version
    shutil.copytree(versions[0], target, symlinks=True, ignore=_links)
    return version


def _links(directory: str, names: list[str]) -> list[str]:
    return [name for name in names if os.path.islink(os.path.join(directory, name))]  # noqa: PTH114, PTH118


def _borrow_tools(library: Library[KernelManifest], work: Path) -> None:
    """Take the tools for images without sshd from a kernel that has them: they are programs of
    their own, of no kernel."""
    for kernel in reversed(library.entries()[0]):
        tools = library.path_of(kernel) / _TOOLS
        if tools.is_file():
            shutil.copyfile(tools, work / _TOOLS)
            return


def _refused(directory: Path, problem: str) -> BangerError:
    return BangerError(
        Code.INVALID,
        f"{directory} is not the directory of a kernel: {problem}",
        hint="it needs vmlinuz and modules/VERSION, or is one that banger has published",
    )
