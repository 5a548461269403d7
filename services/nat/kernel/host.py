"""The host's network as one thing to look at and to bring into line with the plan."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

from services.nat.kernel import iptables, nftables
from services.nat.kernel.links import Netlink
from services.nat.kernel.sysctl import (
    Loan,
    is_forwarding,
    is_joined,
    is_localnet,
    join,
    refuse_routers,
    set_localnet,
)
from services.nat.plan.state import Desired, Observed
from services.nat.plan.steps import (
    ApplyRules,
    CloseDocker,
    DeleteRules,
    Join,
    LendForwarding,
    OpenDocker,
    ReturnForwarding,
    SetLocalnet,
    SetUp,
    Step,
    plan,
)
from services.nat.ruleset.firewalls import Firewalls, Opening, has_docker, nft_obstacles
from services.nat.ruleset.rules import TABLE, loaded_digest
from services.nat.ruleset.sets import Live
from shared.errors import BangerError


@dataclass(frozen=True)
class Pass:
    """One look at the host, and what was done after it."""

    steps: list[Step]
    observed: Observed


@dataclass(frozen=True)
class Host:
    """This network namespace. Every call blocks: use it from one worker thread at a time."""

    loan: Loan

    def observe(self, bridge: str) -> Observed:
        """What is there now. Changes nothing; reading rules needs CAP_NET_ADMIN all the same."""
        with Netlink() as netlink:
            return self._observe(netlink, bridge)

    def _observe(self, netlink: Netlink, bridge: str) -> Observed:
        loaded = nftables.read()
        return Observed(
            links=netlink.links(),
            addresses=netlink.addresses(bridge),
            routes=netlink.routes(),
            tables=bool(loaded.ours),
            rules=loaded_digest(loaded.ours),
            forwarding=is_forwarding(),
            lent=self.loan.is_open(),
            localnet=is_localnet(bridge),
            joined=is_joined(bridge),
            firewalls=look_at_firewalls(loaded, bridge),
            dropped=loaded.dropped,
        )

    def taps(self, bridge: str) -> list[str]:
        """The names of the taps on ``bridge`` now. Needs no privilege."""
        with Netlink() as netlink:
            ports = [link for link in netlink.links().values() if link.master == bridge]
        return sorted(link.name for link in ports if link.kind == "tun")

    def allow(self, live: Sequence[Live], unspoken: Sequence[Live] = ()) -> None:
        """Put these into the loaded sets, and take those out; raises as ``reconcile`` does, and
        without any."""
        nftables.add(live, unspoken)

    def allowed(self) -> list[Live]:
        """What is in the loaded sets; none when none are loaded."""
        return nftables.live() if nftables.read().ours else []

    def reconcile(self, desired: Desired) -> Pass:
        """Make it so; returns the steps that were needed, and what was there before.

        Raises:
            BangerError: what ``plan`` refuses, ``denied``, ``missing_tool`` or ``unavailable``.
                What was done before stays, and the next call goes on from there.
        """
        with Netlink() as netlink:
            observed = self._observe(netlink, desired.bridge)
            steps = plan(desired, observed)
            for step in steps:
                self._take(netlink, step)
        return Pass(steps, observed)

    def _take(self, netlink: Netlink, step: Step) -> None:
        match step:
            case ApplyRules(ruleset):
                nftables.load(ruleset)
            case DeleteRules():
                nftables.delete()
            case LendForwarding():
                self.loan.take()
            case ReturnForwarding():
                self.loan.give_back()
            case SetLocalnet(bridge, on):
                set_localnet(bridge, on=on)
            case Join(bridge, on):
                join(bridge, on=on)
            case OpenDocker(bridge, opening):
                _program(opening).open_docker(opening, bridge)
            case CloseDocker(opening):
                _program(opening).close_docker(opening)
            case SetUp(link):
                refuse_routers(link)
                netlink.take(step)
            case _:
                netlink.take(step)


def _program(opening: Opening) -> ModuleType:
    return iptables if opening.backend == "legacy" else nftables


def look_at_firewalls(loaded: nftables.Reading, bridge: str) -> Firewalls:
    """Who else has a say about what the host forwards."""
    try:
        legacy = iptables.firewalls(bridge)
    except BangerError as error:  # what only matters beside Docker must not keep guests waiting
        legacy = Firewalls(obstacles=(error.to_line(),))
    docker = (nftables.docker_opening(bridge),) if has_docker(loaded.chains) else ()
    obstacles = nft_obstacles(loaded.chains, bridge, TABLE)
    return Firewalls(docker + legacy.docker, obstacles + legacy.obstacles)
