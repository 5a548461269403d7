"""Pulls a kernel: turns the distribution's package into what a VMM and an initrd need.

vmlinuz                 as packaged; QEMU boots it
vmlinux                 the ELF file inside it; Firecracker boots it
modules.squashfs        lib/modules/<version>, decompressed, with depmod's indexes
tools.squashfs          programs for images that lack them (tools.py)
initrd-modules.cpio     the few modules needed to mount the root, and their order

The same package gives the same bytes (times are 0) and so the same id on every machine.
"""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from services.images.library.describe import ARCH
from services.images.library.manifest import KernelManifest, id_of_files, sum_file
from services.images.library.scratch import Scratch, remove_tree
from services.images.library.single_flight import ReportProgress
from services.images.pipeline import Program, ProgramFailed, require, run
from services.images.sources.debian import bzimage, modules, tools
from services.images.sources.debian.catalogue import DebianKernel
from services.images.sources.debian.diagnosis import diagnose
from services.images.sources.debian.mmdebstrap import bootstrap, is_root
from services.images.sources.debian.progress import BuildProgress
from shared.errors import BangerError, Code

_NEEDED_MIB = 800
"""What the unpacked package and the downloads take at most."""

_DECOMPRESS = {
    ".xz": ("xz", "--decompress", "--quiet"),
    ".zst": ("zstd", "--decompress", "--quiet", "--rm"),
    ".gz": ("gzip", "--decompress", "--quiet"),
}
"""Distributions compress each module. squashfs compresses them better, and then every ``insmod``
and every guest's ``modprobe`` can load them."""


async def pull_kernel(
    recipe: DebianKernel, mirror: str, work: Scratch, progress: ReportProgress
) -> KernelManifest:
    """Leave the kernel's files in ``work`` and return their manifest. Takes ten seconds.

    Raises:
        BangerError: ``missing_tool``, ``no_space``, ``unreachable``, ``denied``, or ``invalid``
            when the package does not hold a kernel in the expected form.
    """
    require("tar", "depmod", "mksquashfs")
    unpacked = work.path / "unpacked"
    unpacked.mkdir()
    await _fetch(recipe, work, unpacked, mirror, progress)
    pull = KernelFiles(recipe.name, work, unpacked)
    progress("kernel", "taking the kernel out of its boot image", 0.8)
    version = await pull.take_kernel()
    progress("modules", "indexing and packing the modules", 0.85)
    await pull.take_modules(version)
    progress("tools", "packing the tools for images that lack them", 0.95)
    await pull.take_tools()
    await asyncio.to_thread(remove_tree, unpacked)
    return await asyncio.to_thread(describe_kernel, work.path, recipe.name, recipe.source, version)


async def _fetch(
    recipe: DebianKernel, work: Scratch, unpacked: Path, mirror: str, progress: ReportProgress
) -> None:
    """Nothing of the packages is executed, so an ordinary user needs no namespace."""
    packages = ",".join((recipe.package, *tools.PACKAGES))
    mode = "unshare" if is_root() else "chrootless"
    unpack = ["tar", "--extract", "--no-same-owner", "--wildcards", f"--directory={unpacked}"]
    await bootstrap(
        f"kernel {recipe.name}",
        [f"--mode={mode}", "--variant=extract", f"--include={packages}"],
        recipe.suite,
        Program(
            [*unpack, "*/boot/vmlinuz-*", "*/lib/modules/*", *tools.MEMBERS], keep=(work.lock,)
        ),
        mirror=mirror,
        needed_mib=_NEEDED_MIB,
        counter=BuildProgress(runs=1, touches=1, end=0.4),
        progress=progress,
    )


class KernelFiles:
    """Makes the files of one kernel in ``work`` from the package unpacked at ``unpacked``."""

    def __init__(self, name: str, work: Scratch, unpacked: Path) -> None:
        self._name = name
        self._work = work
        self._unpacked = unpacked

    async def take_kernel(self) -> str:
        """Make vmlinuz and vmlinux. Returns the kernel's version."""
        vmlinuz = _only(self._unpacked.glob("boot/vmlinuz-*"), "boot/vmlinuz-*")
        vmlinuz.rename(self._work.path / "vmlinuz")
        found = bzimage.payload((self._work.path / "vmlinuz").read_bytes())
        compressed = self._unpacked / "payload"
        compressed.write_bytes(found.data)
        await self._decompress(found, compressed, self._work.path / "vmlinux")
        return vmlinuz.name.removeprefix("vmlinuz-")

    async def take_modules(self, version: str) -> None:
        """Make modules.squashfs and initrd-modules.cpio."""
        tree = self._settle(version)
        for suffix, argv in _DECOMPRESS.items():
            if packed := sorted(str(path) for path in tree.rglob(f"*.ko{suffix}")):
                await self._run(*argv, "--", *packed)
        await self._run("depmod", "--basedir", str(self._unpacked), version)
        await self._squash(tree, "modules.squashfs")
        order = modules.load_order((tree / "modules.dep").read_text())
        contents = {path: (tree / path).read_bytes() for path in order}
        (self._work.path / "initrd-modules.cpio").write_bytes(modules.initrd_part(order, contents))

    async def take_tools(self) -> None:
        """Make tools.squashfs."""
        layer = self._unpacked / "tools"
        await asyncio.to_thread(tools.gather_tools, self._unpacked, layer)
        await self._squash(layer, "tools.squashfs")

    def _settle(self, version: str) -> Path:
        """The directory of the modules, below /lib for depmod: newer packages use /usr/lib."""
        tree = self._unpacked / "lib" / "modules" / version
        usr = self._unpacked / "usr" / "lib" / "modules" / version
        if not tree.is_dir() and usr.is_dir():
            tree.parent.mkdir(parents=True, exist_ok=True)
            usr.rename(tree)
        if not tree.is_dir():
            raise BangerError(Code.INVALID, f"the kernel package has no modules for {version}")
        return tree

    async def _decompress(self, found: bzimage.Payload, source: Path, target: Path) -> None:
        with source.open("rb") as stdin, target.open("wb") as stdout:
            await self._run(*found.decompressor, stdin=stdin.fileno(), stdout=stdout.fileno())
        with target.open("rb") as file:
            magic = file.read(len(bzimage.ELF_MAGIC))
        if magic != bzimage.ELF_MAGIC or target.stat().st_size != found.size:
            raise BangerError(
                Code.INVALID, f"the boot image of {self._name} does not hold a kernel"
            )

    async def _squash(self, tree: Path, name: str) -> None:
        target = str(self._work.path / name)
        reproducible = ("-all-root", "-all-time", "0", "-mkfs-time", "0")
        quiet = ("-noappend", "-quiet", "-no-progress")
        await self._run("mksquashfs", str(tree), target, "-comp", "lz4", *reproducible, *quiet)

    async def _run(
        self,
        *argv: str,
        stdin: int = asyncio.subprocess.DEVNULL,
        stdout: int = asyncio.subprocess.DEVNULL,
    ) -> None:
        command = Program(argv, keep=(self._work.lock,))
        try:
            await run(command, stdin=stdin, stdout=stdout)
        except ProgramFailed as failure:
            what = f"kernel {self._name}"
            raise diagnose(what, failure.program, failure.status, failure.lines) from failure


def _only(paths: Iterable[Path], what: str) -> Path:
    found = sorted(paths)
    if len(found) != 1:
        raise BangerError(
            Code.INVALID, f"the kernel package has {len(found)} files {what}, expected one"
        )
    return found[0]


def describe_kernel(directory: Path, name: str, source: str, version: str) -> KernelManifest:
    """The manifest of the kernel whose files are in ``directory``. Reads them."""
    files = {path.name: sum_file(path) for path in sorted(directory.iterdir())}
    return KernelManifest(
        id=id_of_files(files),
        name=name,
        version=version,
        arch=ARCH,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        source=source,
        files=files,
    )
