"""The host's network as a whole: observed, and brought into line with the plan."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

from services.nat.kernel import iptables, nftables
from services.nat.kernel.links import Netlink
from services.nat.kernel.sysctl import (
    IpForward,
    ignore_router_advertisements,
    is_forwarding,
    is_localnet,
    is_proxy_arp,
    set_localnet,
    set_proxy_arp,
)
from services.nat.plan.state import Desired, Observed
from services.nat.plan.steps import (
    ApplyRules,
    CloseDocker,
    DeleteRules,
    EnableForwarding,
    OpenDocker,
    RestoreForwarding,
    SetLocalnet,
    SetProxyArp,
    SetUp,
    Step,
    plan,
)
from services.nat.ruleset.firewalls import DockerRules, Firewalls, has_docker, nft_obstacles
from services.nat.ruleset.rules import DEFAULT_TABLE, loaded_digest
from services.nat.ruleset.sets import AllowedAddress
from shared.errors import BangerError


@dataclass(frozen=True)
class PassResult:
    """The steps of one pass, and what was observed before them."""

    steps: list[Step]
    observed: Observed


@dataclass(frozen=True)
class HostNetwork:
    """The current network namespace. Every call blocks: use it from one thread at a time."""

    ip_forward: IpForward
    table: str = DEFAULT_TABLE
    """The name of nat's own tables."""

    def observe(self, bridge: str) -> Observed:
        """The network as it is. Changes nothing, but reading rules needs CAP_NET_ADMIN too."""
        with Netlink() as netlink:
            return self._observe(netlink, bridge)

    def _observe(self, netlink: Netlink, bridge: str) -> Observed:
        loaded = nftables.read(self.table)
        return Observed(
            links=netlink.links(),
            addresses=netlink.addresses(bridge),
            routes=netlink.routes(),
            tables=bool(loaded.ours),
            other_nats=bool(loaded.of_other_nats),
            rules=loaded_digest(loaded.ours),
            forwarding=is_forwarding(),
            forwarding_saved=self.ip_forward.is_saved(),
            localnet=is_localnet(bridge),
            proxy_arp=is_proxy_arp(bridge),
            firewalls=look_at_firewalls(loaded, bridge),
            dropped=loaded.dropped,
        )

    def taps(self, bridge: str) -> list[str]:
        """The names of the taps on ``bridge``. Needs no privilege."""
        with Netlink() as netlink:
            ports = [link for link in netlink.links().values() if link.master == bridge]
        return sorted(link.name for link in ports if link.kind == "tun")

    def allow(
        self, added: Sequence[AllowedAddress], revoked: Sequence[AllowedAddress] = ()
    ) -> None:
        """Add and remove addresses in the loaded sets.

        Raises:
            BangerError: as ``reconcile``, and ``unavailable`` when no rules are loaded.
        """
        nftables.add(self.table, added, revoked)

    def allowed_addresses(self) -> list[AllowedAddress]:
        """The addresses in the loaded sets; none when no rules are loaded."""
        ours = nftables.read(self.table).ours
        return nftables.allowed_addresses(self.table) if ours else []

    def remove_unmarked(self, bridge: str) -> bool:
        """Remove the tables that an earlier build loaded for this bridge, whatever its name, under
        the default name; True when they were there. The rules of ``table`` are loaded already."""
        found = DEFAULT_TABLE in nftables.read(self.table).of_other_nats
        if found and nftables.names_bridge(DEFAULT_TABLE, bridge):
            nftables.delete(DEFAULT_TABLE)
            return True
        return False

    def reconcile(self, desired: Desired) -> PassResult:
        """Bring the network into line with ``desired``.

        Raises:
            BangerError: what ``plan`` refuses, ``denied``, ``missing_tool`` or ``unavailable``.
                The steps done before the error stay, and the next call continues from there.
        """
        with Netlink() as netlink:
            observed = self._observe(netlink, desired.bridge)
            steps = plan(desired, observed)
            for step in steps:
                self._apply(netlink, step)
        return PassResult(steps, observed)

    def _apply(self, netlink: Netlink, step: Step) -> None:
        match step:
            case ApplyRules(ruleset):
                nftables.load(ruleset)
            case DeleteRules():
                nftables.delete(self.table)
            case EnableForwarding():
                self.ip_forward.enable()
            case RestoreForwarding():
                self.ip_forward.restore()
            case SetLocalnet(bridge, on):
                set_localnet(bridge, on=on)
            case SetProxyArp(bridge, on):
                set_proxy_arp(bridge, on=on)
            case OpenDocker(bridge, present):
                _program(present).open_docker(present, bridge)
            case CloseDocker(present):
                _program(present).close_docker(present)
            case SetUp(link):
                ignore_router_advertisements(link)
                netlink.apply(step)
            case _:
                netlink.apply(step)


def _program(present: DockerRules) -> ModuleType:
    return iptables if present.backend == "legacy" else nftables


def look_at_firewalls(loaded: nftables.LoadedRules, bridge: str) -> Firewalls:
    """The other firewalls that decide about forwarded packets."""
    try:
        legacy = iptables.firewalls(bridge)
    except BangerError as error:  # the legacy tables matter beside Docker only: guests do not wait
        legacy = Firewalls(obstacles=(error.to_line(),))
    docker = (nftables.docker_rules(bridge),) if has_docker(loaded.chains) else ()
    obstacles = nft_obstacles(loaded.chains, bridge, loaded.table)
    return Firewalls(docker + legacy.docker, obstacles + legacy.obstacles)
