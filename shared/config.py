"""The configuration file: TOML, every key optional, wrong ones refused at load with their name."""

import ipaddress
import tomllib
from pathlib import Path
from typing import Literal

import msgspec

from shared.errors import BangerError, Code


class NatConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    enabled: bool = False
    """True where the privileged service has been installed: ``network = auto`` is bridge."""
    external: bool = False
    """True where root runs nat beside the services (``python -m services.nat --user NAME``): the
    launcher does not start one, and ``network = auto`` is bridge."""
    bridge: str = "br-banger"
    subnet: str = "10.77.0.0/24"


class DnsConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    port: int = 42069
    resolv_conf: str = "/etc/resolv.conf"
    """The file that names the resolvers guests' other questions are passed to; followed."""


class FirecrackerConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How Firecracker is run. Limits are for each drive and each direction of the network of
    every VM; 0 is none."""

    jailer: bool = False
    """Whether each Firecracker runs in a jail of its own; takes a nat that is root."""
    jailer_bin: str = "jailer"
    jail_directory: str = "/srv/banger-jail"
    """nat's: where the jails are, root's alone."""
    jail_uids: int = 2_000_000_000
    """nat's: the first uid (and gid) of jails; each VM's is this and its number in the subnet."""
    metrics: bool = False
    """Whether it writes metrics.json beside a VM's logs, some 10 KB a minute."""
    disk_mib_per_second: int = 0
    disk_operations_per_second: int = 0
    network_mib_per_second: int = 0


class DefaultsConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Sizes for VMs that do not name their own; unset ones are derived from the host."""

    image: str = "debian-bookworm"
    kernel: str = "debian-bookworm"
    vcpu: int | None = None
    memory_mib: int | None = None
    disk: str = "8G"
    overlay: str = "8G"


class Config(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    network: Literal["auto", "user", "bridge"] = "auto"
    accel: Literal["auto", "kvm", "tcg"] = "auto"
    vmm: str = "auto"
    """For VMs that do not name their own: auto (the first VMM that can run them) or a name of
    ``shared.vmm.registry``."""
    log_level: Literal["info", "debug"] = "info"
    database_url: str = ""
    mirror: str = ""
    """Debian mirror for image builds; empty: the build tool's own default."""
    qemu_bin: str = "qemu-system-x86_64"
    firecracker_bin: str = "firecracker"
    qemu_cpu: str = ""
    """QEMU's -cpu for emulated guests; empty: its default. ``EPYC,+svm`` gives guests KVM."""
    boot_timeout: float = 120.0
    """Seconds a guest may take until its agent answers."""
    auto_stop_stale_after: float = 0.0
    """Seconds after which a running VM that nobody used is stopped; 0: never."""
    user_subnet: str = "127.77.0.0/16"
    ipv6: bool = False
    """Bridge mode: whether guests have an IPv6 address too, and their names AAAA records."""
    defaults: DefaultsConfig = msgspec.field(default_factory=DefaultsConfig)
    nat: NatConfig = msgspec.field(default_factory=NatConfig)
    dns: DnsConfig = msgspec.field(default_factory=DnsConfig)
    firecracker: FirecrackerConfig = msgspec.field(default_factory=FirecrackerConfig)

    @property
    def network_mode(self) -> Literal["user", "bridge"]:
        """``auto`` resolved: bridge where there is a privileged nat, else user."""
        if self.network == "auto":
            return "bridge" if self.nat.enabled or self.nat.external else "user"
        return self.network


def load_config(path: Path) -> Config:
    """Read the file; a missing one gives the defaults.

    Raises:
        BangerError: ``invalid`` naming the file and the key.
    """
    try:
        data = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return Config()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise BangerError(Code.INVALID, f"cannot read {path}: {error}") from error
    try:
        config = msgspec.convert(data, Config)
        for subnet in (config.user_subnet, config.nat.subnet):
            ipaddress.IPv4Network(subnet)
    except (msgspec.ValidationError, ValueError) as error:
        raise BangerError(
            Code.INVALID, f"{path}: {error}", hint="docs/internals.md lists every key"
        ) from error
    return config
