"""The hubs inside QEMU that a user-mode guest's two network devices are on.

The second device leads to hub 0 through a filter in the kernel (network/outside_filter.py), and hub
0 leads outside only while the guest may go there. The first one
is on hub 1, so that a wire for UDP ports (network/udp_relay.py) can be added while the guest runs.
Ids are QEMU's; values are those of its -netdev option.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class HubEnd:
    """What hub 0 leads to: a network of QEMU's and its port on the hub, by their ids."""

    network: str
    port: str
    options: str = ""

    @property
    def netdevs(self) -> tuple[str, str]:
        """Values of -netdev, in the order in which they are made."""
        user = f"user,id={self.network},net=10.0.3.0/24,ipv6=off{self.options}"
        return user, f"hubport,id={self.port},hubid=0,netdev={self.network}"


OPEN = HubEnd("outside", "uplink")
"""The guest's resolver there is 10.0.3.3."""
CLOSED = HubEnd("sink", "drain", ",restrict=on")
"""Refuses all that a guest sends. A hub that led nowhere would keep it, and QEMU does not look
again when an uplink comes: the device would be dead for good."""


def filtered(guest_fd: int, outside_fd: int, name: str) -> tuple[str, str, str]:
    """Values of -netdev: the second device's network (``net1``), and its other side, called
    ``name``, on hub 0. The descriptors are inherited: frames to ``outside_fd`` are filtered."""
    return (
        f"dgram,id=net1,local.type=fd,local.str={guest_fd}",
        f"dgram,id={name},local.type=fd,local.str={outside_fd}",
        f"hubport,id={FILTER_PORT},hubid=0,netdev={name}",
    )


FILTER_PORT = "filter"
FIRST_HUB = ("hubport,id=nic0,hubid=1", "hubport,id=port0,hubid=1,netdev=net0")
"""The first device's hub, with the closed network (``net0``) on it."""
WIRE, WIRE_PORT = "datagrams", "wire"
"""Ids of the network that leads to the UDP relay and of its port on the first device's hub."""


def network_ids(answer: str) -> set[str]:
    """The ids in the answer to "info network", whose lines are like `` \\ drain: sink: index=0,…``;
    what follows them may contain paths of the host. Pure."""
    heads = (line.partition("index=")[0] for line in answer.splitlines())
    return {word for head in heads for word in re.split(r"[\s\\:]+", head) if word}


def netdev_arguments(option: str) -> dict[str, object]:
    """A -netdev value as netdev_add takes it (QEMU QMP Reference, Netdev)."""
    kind, *pairs = option.split(",")
    arguments: dict[str, object] = {"type": kind}
    for pair in pairs:
        name, _, value = pair.partition("=")
        typed = int(value) if value.isdigit() else value
        arguments[name] = value == "on" if value in ("on", "off") else typed
    return arguments
