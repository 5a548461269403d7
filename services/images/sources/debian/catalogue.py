"""The images and kernels that can be made from Debian's packages, as data.

No mirror is named here: mmdebstrap has defaults, and the configuration may name another.
"""

from dataclasses import dataclass

ARCH = "x86_64"
"""The architecture of everything in the catalogue, as ``uname -m`` prints it."""

DEBIAN_ARCH = "amd64"


@dataclass(frozen=True)
class DebianImage:
    """A Debian root filesystem: minbase, ``packages`` and their dependencies."""

    name: str
    suite: str
    packages: tuple[str, ...]
    description: str
    included: tuple[str, ...] = ()
    """Those of ``packages`` that a user has added, sorted (extension.py)."""
    revision: int = 1
    """Raise it with every change of ``packages``: ``image build`` then replaces older images."""

    @property
    def source(self) -> str:
        """``debian:bookworm``, ``debian:bookworm.2``, ``debian:bookworm.2+nftables,python3``."""
        revision = f".{self.revision}" if self.revision > 1 else ""
        further = f"+{','.join(self.included)}" if self.included else ""
        return f"debian:{self.suite}{revision}{further}"


@dataclass(frozen=True)
class DebianKernel:
    """The kernel that the Debian package ``package`` of ``suite`` currently depends on."""

    name: str
    suite: str
    package: str
    description: str

    @property
    def source(self) -> str:
        return f"debian:{self.suite}/{self.package}"


_BOOT = (
    "systemd-sysv",
    "udev",
    "dbus",
    "kmod",
    "e2fsprogs",
    "libpam-systemd",
    "dbus-user-session",
)
"""Init, devices, what systemd calls for modules (modprobe) and disks (fsck), user managers."""

_ACCESS = ("openssh-server", "qemu-guest-agent", "iproute2")
"""How banger reaches the guest. It starts both daemons before systemd runs."""

_DEVELOPER = (
    "ca-certificates",
    "curl",
    "foot-terminfo",
    "git",
    "iputils-ping",
    "kitty-terminfo",
    "less",
    "nano",
    "ncurses-term",
    "netbase",
    "procps",
    "rsync",
    "sudo",
    "unzip",
    "vim",
    "xz-utils",
)
"""What most people need at once. Everything else is an ``apt install`` away."""

IMAGES: dict[str, DebianImage] = {
    recipe.name: recipe
    for recipe in (
        DebianImage(
            name="debian-bookworm",
            suite="bookworm",
            packages=_BOOT + _ACCESS + _DEVELOPER,
            revision=3,
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
