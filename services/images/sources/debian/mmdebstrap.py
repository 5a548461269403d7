"""One run of mmdebstrap, with its tar stream piped into another program.

mmdebstrap(1) makes a Debian root filesystem, or only unpacks packages (``--variant=extract``), with
the host's apt and its keys. It works in a user namespace for an ordinary user and in a mount
namespace for root, so its mounts are not visible outside, and a killed run leaves only plain files.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from services.images.library.scratch import Scratch, build_area, scratch
from services.images.library.single_flight import ReportProgress
from services.images.pipeline import Program, ProgramFailed, require, run
from services.images.sources.debian.catalogue import DEBIAN_ARCH
from services.images.sources.debian.diagnosis import diagnose
from services.images.sources.debian.progress import BuildProgress
from shared.errors import BangerError, Code
from shared.host.files import require_space

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
"""Debian's keys, where the package debian-archive-keyring installs them."""


async def bootstrap(
    what: str,
    options: Sequence[str],
    suite: str,
    consumer: Program,
    *,
    mirror: str,
    needed_mib: int,
    counter: BuildProgress,
    progress: ReportProgress,
) -> None:
    """Run ``mmdebstrap OPTIONS SUITE - [MIRROR] | consumer``; ``what`` names it in errors.

    Raises:
        BangerError: ``missing_tool``, ``no_space``, ``unreachable`` (mirror, network), ``denied``.
    """
    _check_host(mirror)
    area = build_area()
    if not area.is_dir():
        hint = "set TMPDIR to a directory that you can write to"
        raise BangerError(Code.DENIED, f"{area} is not a directory", hint=hint)
    require_space(area, needed_mib << 20, what, "free some space, or set TMPDIR to a larger disk")
    with scratch(
        area, mode=0o711
    ) as chroot:  # 0711, because the uids of the namespace must be able to enter
        producer = _command(options, suite, mirror, chroot)

        def on_line(line: str) -> None:
            if step := counter.feed(line):
                progress(step.stage, step.message, step.fraction)

        try:
            await run(producer, consumer, on_line=on_line)
        except ProgramFailed as failure:
            raise diagnose(what, failure.program, failure.status, failure.lines) from failure


def _command(options: Sequence[str], suite: str, mirror: str, chroot: Scratch) -> Program:
    target = [suite, "-"] + ([mirror] if mirror else [])
    return Program(
        ["mmdebstrap", "--verbose", f"--architectures={DEBIAN_ARCH}", *options, *target],
        environment={"TMPDIR": str(chroot.path)},
        keep=(chroot.lock,),
    )


def _check_host(mirror: str) -> None:
    require("mmdebstrap", "apt-get")
    if mirror.startswith("-"):
        raise BangerError(
            Code.INVALID,
            f"mirror {mirror!r} is not a URL",
            hint="set `mirror` in the configuration file to a URL, or remove it",
        )
    if not mirror and not _KEYRING.exists():
        raise BangerError(
            Code.MISSING_TOOL,
            "Debian's archive keys are not installed",
            hint="sudo apt install debian-archive-keyring",
        )


def is_root() -> bool:
    return os.geteuid() == 0
