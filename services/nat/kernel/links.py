"""Bridge, taps, addresses and routes, by netlink.

The only module that imports pyroute2. Every call blocks for some milliseconds, so it runs in a
worker thread.
"""

import errno
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, ip_interface
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from services.nat.kernel.errors import kernel_error
from services.nat.plan.state import HostInterface, Route
from services.nat.plan.steps import (
    AttachTap,
    CreateBridge,
    CreateTap,
    DeleteLink,
    SetAddress,
    SetNeighbour,
    SetUp,
)
from shared.errors import BangerError, Code

IFF_UP = 0x1
AF_INET = 2
IFA_F_NODAD = 0x02
"""No duplicate address detection (RFC 4862 section 5.4; linux/if_addr.h)."""
MAIN_TABLE = 254
NUD_STALE = 0x04
"""A state of neighbour entries (ip-neighbour(8))."""
AS_OTHERS = 0xFFFD
"""A port's group_fwd_mask (ip-link(8)): the bridge handles frames to the groups 01:80:c2:00:00:0X
like all others. Without it Linux delivers them to the tap itself, past every rule for the bridge,
and learns their source. The group left out is that of pause frames, which are always dropped."""

LinkStep = CreateBridge | SetAddress | SetUp | SetNeighbour | CreateTap | AttachTap | DeleteLink


class Netlink:
    """One netlink socket for a whole pass, because opening one takes as long as several requests.

    A context manager, for the thread and the network namespace that it was opened in."""

    def __init__(self) -> None:
        self._ip: Any = IPRoute()

    def __enter__(self) -> "Netlink":
        return self

    def __exit__(self, *_: object) -> None:
        self._ip.close()

    def links(self) -> dict[str, HostInterface]:
        """Every interface of this network namespace, by name."""
        with _reading():
            messages = list(self._ip.get_links())
        names = {int(m["index"]): str(m.get("IFLA_IFNAME")) for m in messages}
        links = (_link(message, names) for message in messages)
        return {link.name: link for link in links}

    def addresses(self, link: str) -> frozenset[IPv4Interface | IPv6Interface]:
        """The addresses of one interface; none when it does not exist."""
        index = _index_or_none(link)
        if index is None:
            return frozenset()
        with _reading():
            messages = list(self._ip.get_addr(index=index))
        # IPv6 has IFA_ADDRESS alone; for IPv4 that is the peer's on point-to-point links.
        found = ((m.get("IFA_LOCAL") or m.get("IFA_ADDRESS"), m["prefixlen"]) for m in messages)
        return frozenset(ip_interface(f"{address}/{length}") for address, length in found)

    def routes(self) -> tuple[Route, ...]:
        """The IPv4 routes of the main table that have a destination (a default route has none)."""
        with _reading():
            messages = list(self._ip.get_routes(family=AF_INET, table=MAIN_TABLE))
        return tuple(
            Route(
                IPv4Network(f"{m.get('RTA_DST')}/{m['dst_len']}"), _name_or_none(m.get("RTA_OIF"))
            )
            for m in messages
            if m.get("RTA_DST")
        )

    def apply(self, step: LinkStep) -> None:
        """Do one step. An object that exists already, or is already gone, counts as done.

        Raises:
            BangerError: ``denied`` without CAP_NET_ADMIN, ``unavailable`` when the kernel refuses.
        """
        try:
            _apply(self._ip, step)
        except NetlinkError as error:
            _raise_unless_done(step, error.code, error)
        except OSError as error:  # taps are made by ioctl on /dev/net/tun
            _raise_unless_done(step, error.errno or 0, error)


def _apply(ip: Any, step: LinkStep) -> None:
    match step:
        case CreateBridge(name, mac):
            ip.link("add", ifname=name, kind="bridge", address=mac)
        case SetAddress(link, address):
            ip.addr(
                "add",
                index=_index(link),
                address=str(address.ip),
                prefixlen=address.network.prefixlen,
                # No other host has it, and on a bridge without ports the detection never ends.
                **({"flags": IFA_F_NODAD} if address.version == 6 else {}),
            )
        case SetUp(link):
            ip.link("set", index=_index(link), state="up")
        case SetNeighbour(bridge, address, mac):
            # A stale entry is used at once and verified with the guest (RFC 4861, 7.3.2). Without
            # it the host sends to the old address for 10 s, and TCP's own retries wait longer.
            ip.neigh(
                "replace",
                ifindex=_index(bridge),
                dst=str(address),
                lladdr=mac,
                state=NUD_STALE,
            )
        case CreateTap(name, owner):
            ip.link("add", ifname=name, kind="tuntap", mode="tap", uid=owner)
        case AttachTap(tap, bridge):
            index = _index(tap)
            ip.link("set", index=index, master=_index(bridge))
            ip.brport("set", index=index, isolated=1, group_fwd_mask=AS_OTHERS)
        case DeleteLink(name):
            index_or_none = _index_or_none(name)
            if index_or_none is not None:
                ip.link("del", index=index_or_none)


def _raise_unless_done(step: LinkStep, code: int, error: Exception) -> None:
    """Ignore a step that is already done; raise for everything else."""
    if code == errno.EEXIST and isinstance(step, SetAddress):
        return
    if isinstance(step, SetAddress) and step.address.version == 6 and code == errno.EACCES:
        raise BangerError(
            Code.UNAVAILABLE,
            f"IPv6 is disabled on this host: {step.link} cannot have {step.address}",
            hint="set ipv6 = false in the configuration, or enable IPv6 (sysctl disable_ipv6)",
        ) from error
    if code == errno.ENODEV and isinstance(step, DeleteLink):
        return
    raise kernel_error(f"{step} failed", code) from error


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except NetlinkError as error:
        raise kernel_error("reading the host's network failed", error.code) from error


def _index_or_none(name: str) -> int | None:
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return None


def _name_or_none(index: int | None) -> str:
    try:
        return socket.if_indextoname(index) if index else ""
    except OSError:
        return ""  # it was removed meanwhile


def _index(name: str) -> int:
    index = _index_or_none(name)
    if index is None:
        raise NetlinkError(errno.ENODEV, f"no interface {name}")
    return index


def _link(message: Any, names: Mapping[int, str]) -> HostInterface:
    info = message.get("IFLA_LINKINFO")
    name = str(message.get("IFLA_IFNAME"))
    kind = str(info.get("IFLA_INFO_KIND") or "") if info else ""
    return HostInterface(
        name=name,
        kind=kind,
        mac=str(message.get("IFLA_ADDRESS") or ""),
        up=bool(message["flags"] & IFF_UP),
        master=names.get(message.get("IFLA_MASTER") or 0),
        owner=_tap_owner(info) if kind == "tun" else None,
        isolated=_isolated(info) if info else False,
    )


def _tap_owner(info: Any) -> int | None:
    data = info.get("IFLA_INFO_DATA")
    owner = data.get("IFLA_TUN_OWNER") if data else None
    return int(owner) if owner is not None else None


def _isolated(info: Any) -> bool:
    if info.get("IFLA_INFO_SLAVE_KIND") != "bridge":
        return False
    data = info.get("IFLA_INFO_SLAVE_DATA")
    if not data or data.get("IFLA_BRPORT_GROUP_FWD_MASK") != AS_OTHERS:
        return False
    return bool(data.get("IFLA_BRPORT_ISOLATED"))
