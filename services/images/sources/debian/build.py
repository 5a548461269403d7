"""Builds an image: packs mmdebstrap's tar stream into a squashfs.

Owners, modes and extended attributes go from the tar into the squashfs, so neither root nor a mount
is needed. What a guest needs from banger is not put into the image: it comes as a layer at boot
(docs/images.md). The hooks below only remove things.
"""

import asyncio
import posixpath
import shlex

from services.images.library.describe import SQUASHFS, describe_image
from services.images.library.manifest import ImageManifest
from services.images.library.scratch import Scratch
from services.images.library.single_flight import ReportProgress
from services.images.pipeline import Program, require
from services.images.sources.debian.catalogue import DebianImage
from services.images.sources.debian.mmdebstrap import bootstrap, is_root
from services.images.sources.debian.progress import BuildProgress
from shared.contract.messages.image import ImageOrigin
from shared.host.files import require_space

_LEAVE_OUT = (
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-include=/usr/share/locale/locale.alias",
)
"""dpkg.cfg(5) filters for the build. Packages that a guest installs later are complete."""

_HOOKS = (
    # The filters above are for the build only.
    'rm -f "$1/etc/dpkg/dpkg.cfg.d/99mmdebstrap"',
    # A VM has an identity, an image has none. An empty machine-id is filled at boot; a missing one
    # would also make systemd apply its presets again: machine-id(5).
    'rm -f "$1"/etc/ssh/ssh_host_* "$1/etc/hostname" "$1/etc/resolv.conf"; : >"$1/etc/machine-id"',
    # What is there begins each work disk (docs/images.md). Those of /etc/skel are for people.
    'rm -f "$1/root/.bashrc" "$1/root/.profile"',
    # Keys only, also when a password is set.
    "printf 'PermitRootLogin prohibit-password\\nPasswordAuthentication no\\n'"
    ' >"$1/etc/ssh/sshd_config.d/10-key-only.conf"',
    "printf 'LANG=C.UTF-8\\n' >\"$1/etc/default/locale\"",
    # A short-lived VM does not need these, and apt's would hold the lock of dpkg.
    'chroot "$1" systemctl --quiet disable'
    " apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer"
    " e2scrub_reap.service",
    'chroot "$1" systemctl --quiet set-default multi-user.target',
    'rm -rf "$1"/var/log/apt "$1"/var/log/*.log "$1"/var/cache/debconf/*-old',
    # Last, because they must be newer than /usr: otherwise the first boot rebuilds ld.so's cache,
    # the hardware database and the journal catalogue (ConditionNeedsUpdate= in systemd.unit(5)).
    'touch "$1/etc/.updated" "$1/var/.updated"',
)
"""Shell lines that mmdebstrap runs, with the tree as $1."""

_SQUASH = ("sqfstar", "-comp", "lz4", "-root-mode", "0755", "-quiet", "-no-progress")
"""lz4 packs 20 times faster than zstd and is read faster in the guest, and takes 60 % more disk.
The stream has no entry for the root directory itself, so its mode is given here."""

_AS_ROOT = ("unshare", "--user", "--map-root-user")
"""sqfstar gives the root directory the uid that it runs as (4.5 ignores its -root-uid), so an
ordinary user runs it as root of a user namespace. All other owners come from the stream."""


async def build_image(
    recipe: DebianImage, mirror: str, work: Scratch, progress: ReportProgress
) -> ImageManifest:
    """Leave the root filesystem in ``work`` and return its manifest. Takes half a minute.

    ``mirror`` is a URL, or empty for mmdebstrap's default sources. Those include security updates;
    a single mirror does not.

    Raises:
        BangerError: ``missing_tool``, ``no_space``, ``unreachable``, ``denied``.
    """
    require("sqfstar", *(() if is_root() else ("newuidmap",)))
    rootfs = work.path / SQUASHFS
    # The image, packed by lz4, takes less than half of the tree.
    require_space(work.path.parent, recipe.unpacked_mib << 19, f"the image {recipe.name}")
    prefix = () if is_root() else _AS_ROOT
    await bootstrap(
        f"image {recipe.name}",
        _options(recipe),
        recipe.suite,
        Program([*prefix, *_SQUASH, str(rootfs)], keep=(work.lock,)),
        mirror=mirror,
        needed_mib=recipe.unpacked_mib,
        counter=BuildProgress(runs=2, touches=3, end=0.9),
        progress=progress,
    )
    progress("verify", "computing the checksum", 0.97)
    origin = ImageOrigin(kind="debian", reference=recipe.source)
    return await asyncio.to_thread(
        describe_image, work.path, recipe.name, recipe.source, origin=origin
    )


def _options(recipe: DebianImage) -> list[str]:
    return [
        "--mode=unshare",
        "--variant=minbase",
        f"--include={','.join(recipe.packages)}",
        *(f"--dpkgopt={line}" for line in _LEAVE_OUT),
        f"--customize-hook={_check_packages(recipe)}",
        *(f"--customize-hook={_write(path, text)}" for path, text in recipe.files),
        *(f"--customize-hook={line}" for line in _HOOKS),
    ]


def _check_packages(recipe: DebianImage) -> str:
    """apt takes an unknown name for a pattern and installs what matches: ask for each by name."""
    return f'chroot "$1" dpkg-query --show {" ".join(recipe.packages)} >/dev/null'


def _write(path: str, text: str) -> str:
    """The shell line that makes a file of the recipe, and its directory."""
    directory, file = (shlex.quote(each) for each in (posixpath.dirname(path), path))
    return f'mkdir -p "$1"{directory} && printf %s {shlex.quote(text)} >"$1"{file}'
