"""The configuration file: TOML, every key optional, unknown keys and wrong values refused."""

import ipaddress
import os
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from shared.addresses.loopback import loopback_subnet
from shared.contract.sizes import parse_bytes
from shared.errors import BangerError, Code
from shared.file_sync import FileSync, check

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
"""0: the kernel chooses."""
Rate = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Uid = Annotated[int, msgspec.Meta(ge=1, le=2**32 - 2**24)]
"""So that 2**24 uids of jails follow it (uid_t has 32 bits)."""
# Neither NaN nor infinity passes these bounds.
PoolSize = Annotated[int, msgspec.Meta(ge=0, le=8)]
BootSeconds = Annotated[float, msgspec.Meta(gt=0, le=86400)]
Percent = Annotated[float, msgspec.Meta(ge=0, le=100_000)]
IdleSeconds = Annotated[float, msgspec.Meta(ge=0, le=366 * 86400)]


class NatConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    enabled: bool = False
    """True where the nat service has privilege: ``network = auto`` means bridge."""
    external: bool = False
    """True where root runs nat for this user (``python -m services.nat --user NAME``): the launcher
    does not start one, and ``network = auto`` means bridge."""
    bridge: str = "br-banger"
    subnet: str = "10.77.0.0/24"
    private: bool = False
    """Whether only programs of the user and of root reach guests from this host."""


class DnsConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    port: Port = 42069
    resolv_conf: str = "/etc/resolv.conf"
    """The file that names the resolvers for all other questions of guests. It is read again when it
    changes."""


class FirecrackerConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How Firecracker runs. The limits are per VM: of each drive, and of each direction of its
    network. 0 means no limit."""

    jailer: bool = False
    """Whether each Firecracker runs in a jail of its own. This needs a nat that runs as root."""
    jailer_bin: str = "jailer"
    jail_directory: str = "/srv/banger-jail"
    """Where nat makes the jails. The directory belongs to root and is closed to all others."""
    jail_uids: Uid = 2_000_000_000
    """The first uid and gid that nat uses for jails; a VM's number in the subnet is added."""
    metrics: bool = False
    """Whether Firecracker writes metrics.json beside a VM's logs: about 10 KB a minute."""
    track_dirty_pages: bool = False
    """Whether KVM notes which pages a guest writes to. The first save after a boot then writes only
    these, and a guest pays for each page that it touches."""
    disk_mib_per_second: Rate = 0
    disk_operations_per_second: Rate = 0
    network_mib_per_second: Rate = 0


class DefaultsConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Defaults for new VMs. Sizes that are not set are derived from the host."""

    image: str = "debian-bookworm"
    kernel: str = "debian-bookworm"
    vcpu: int | None = None
    memory_mib: int | None = None
    disk: str = "8G"
    overlay: str = "8G"


class ImagesConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    default_registry: str = "docker.io"
    """The registry of references without a host, as ``alpine:3.20``."""


class TemplatesConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Templates: saved guests that nobody has used, of which new VMs are made."""

    limit: str = "4G"
    """What all of them may occupy. 0: none are made or used."""
    max_age: IdleSeconds = 30 * 86400.0
    """Seconds after which one is made anew. 0: never."""

    quiet_seconds: IdleSeconds = 5.0
    """Seconds without a new VM after which one is made."""
    most_pressure: Annotated[float, msgspec.Meta(ge=0, le=100)] = 20.0
    """Per cent of time in which some task waits for a processor, above which none is made. For a VM
    of the pool it is twice that. 100: it does not matter."""

    @property
    def limit_bytes(self) -> int:
        return parse_bytes(self.limit)


class Config(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    network: Literal["auto", "user", "bridge"] = "auto"
    accel: Literal["auto", "kvm", "tcg"] = "auto"
    vmm: str = "auto"
    """For VMs that do not name their own: auto (the first VMM that can run them) or a name of
    ``shared.vmm.registry``."""
    log_level: Literal["info", "debug"] = "info"
    database_url: str = ""
    mirror: str = ""
    """Debian mirror for image builds. Empty: the build tool's default."""
    qemu_bin: str = "qemu-system-x86_64"
    firecracker_bin: str = "firecracker"
    qemu_cpu: str = ""
    """QEMU's -cpu for emulated guests. Empty: its default. ``EPYC,+svm`` gives guests KVM."""
    boot_timeout: BootSeconds = 120.0
    """Seconds that a guest may take until its agent answers."""
    auto_stop_stale_after: IdleSeconds = 0.0
    """Seconds without use after which a running VM is stopped. 0: never."""
    idle_suspend_after: IdleSeconds = 0.0
    """Seconds without use after which a running VM is suspended, until somebody uses it. 0: never;
    a VM may have a limit of its own."""
    idle_cpu: Percent = 6.0
    """Percent of one processor that the VMM of an unused VM may take: more is work. An idle guest
    takes 3 or 4 under emulation, most of it for being asked which ports it listens on."""
    warm_pool: PoolSize = 1
    """How many VMs wait, ready to be used, while somebody makes VMs. They are made of a template,
    of the kind that was made last. 0: none."""
    user_subnet: str = ""
    """Loopback addresses of VMs in user mode. Empty: ``loopback_subnet`` of this user."""
    ipv6: bool = False
    """Bridge mode: whether guests also have an IPv6 address, and their names AAAA records."""
    defaults: DefaultsConfig = msgspec.field(default_factory=DefaultsConfig)
    nat: NatConfig = msgspec.field(default_factory=NatConfig)
    images: ImagesConfig = msgspec.field(default_factory=ImagesConfig)
    dns: DnsConfig = msgspec.field(default_factory=DnsConfig)
    firecracker: FirecrackerConfig = msgspec.field(default_factory=FirecrackerConfig)
    templates: TemplatesConfig = msgspec.field(default_factory=TemplatesConfig)
    file_sync: list[FileSync] = []

    @property
    def user_network(self) -> ipaddress.IPv4Network:
        """Where VMs in user mode have their addresses."""
        if self.user_subnet:
            return ipaddress.IPv4Network(self.user_subnet)
        return loopback_subnet(os.geteuid())

    @property
    def network_mode(self) -> Literal["user", "bridge"]:
        """``network`` with ``auto`` resolved: bridge where nat has privilege, else user."""
        if self.network == "auto":
            return "bridge" if self.nat.enabled or self.nat.external else "user"
        return self.network


def load_config(path: Path) -> Config:
    """Read the file. Without one, every key has its default.

    Raises:
        BangerError: ``invalid``, which names the file and the key.
    """
    try:
        data = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return Config()
    except RecursionError:
        raise BangerError(Code.INVALID, f"cannot read {path}: it is nested too deeply") from None
    except (tomllib.TOMLDecodeError, ValueError, OSError) as error:  # also UTF-8, huge numbers
        raise BangerError(Code.INVALID, f"cannot read {path}: {error}") from error
    try:
        config = msgspec.convert(data, Config)
        for subnet in (config.user_network, config.nat.subnet):
            ipaddress.IPv4Network(subnet)
        check(config.file_sync)
        parse_bytes(config.templates.limit)
    except (msgspec.ValidationError, ValueError, BangerError) as error:
        raise BangerError(
            Code.INVALID, f"{path}: {error}", hint="docs/internals.md lists every key"
        ) from error
    return config
