"""The images and kernels that banger knows how to make by itself, as data.

No package mirror is named here: mmdebstrap knows the default ones, and the user's configuration
may give another.
"""

from dataclasses import dataclass

ARCH = "x86_64"
"""What everything in the catalogue is built for, as ``uname -m`` says it."""

DEBIAN_ARCH = "amd64"


@dataclass(frozen=True)
class DebianImage:
    """A Debian root filesystem: ``packages`` and what they need, on top of minbase."""

    name: str
    suite: str
    packages: tuple[str, ...]
    description: str
    included: tuple[str, ...] = ()
    """Those of ``packages`` that the user asked for, sorted (extension.py)."""
    revision: int = 1
    """One more with every change of ``packages``: ``image build`` makes an older image anew."""

    @property
    def source(self) -> str:
        """``debian:bookworm``, ``debian:bookworm.2``, ``debian:bookworm.2+nftables,python3``."""
        revision = f".{self.revision}" if self.revision > 1 else ""
        further = f"+{','.join(self.included)}" if self.included else ""
        return f"debian:{self.suite}{revision}{further}"


@dataclass(frozen=True)
class DebianKernel:
    """The kernel that the Debian package ``package`` of ``suite`` depends on at the moment."""

    name: str
    suite: str
    package: str
    description: str

    @property
    def source(self) -> str:
        return f"debian:{self.suite}/{self.package}"


_BOOT = ("systemd-sysv", "udev", "dbus", "kmod", "e2fsprogs")
"""Init, devices and the tools that our own init calls (modprobe, resize2fs)."""

_ACCESS = ("openssh-server", "qemu-guest-agent", "iproute2")
"""How banger reaches the guest. Both daemons are started by our init, not by their units."""

_DEVELOPER = (
    "ca-certificates",
    "curl",
    "git",
    "iputils-ping",
    "less",
    "nano",
    "netbase",
    "procps",
    "rsync",
    "unzip",
    "xz-utils",
)
"""What people type in the first minute; everything else is an ``apt install`` away."""

IMAGES: dict[str, DebianImage] = {
    recipe.name: recipe
    for recipe in (
        DebianImage(
            name="debian-bookworm",
            suite="bookworm",
            packages=_BOOT + _ACCESS + _DEVELOPER,
            revision=2,
            description="Debian 12 with systemd, ssh, git and curl, built on this machine",
        ),
    )
}

KERNELS: dict[str, DebianKernel] = {
    recipe.name: recipe
    for recipe in (
        DebianKernel(
            name="debian-bookworm",
            suite="bookworm",
            package=f"linux-image-cloud-{DEBIAN_ARCH}",
            description="Debian 12's cloud kernel (6.1)",
        ),
        DebianKernel(
            name="debian-trixie",
            suite="trixie",
            package=f"linux-image-cloud-{DEBIAN_ARCH}",
            description="Debian 13's cloud kernel (6.12)",
        ),
    )
}
