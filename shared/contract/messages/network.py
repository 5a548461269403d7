"""Bodies of the verbs of ``nat`` and ``dns``."""

import msgspec


class NatAttach(msgspec.Struct, kw_only=True):
    """``nat.attach``: have the tap of this VM in place, now."""

    id: str


class NatApply(msgspec.Struct, kw_only=True):
    """``nat.apply``: have the store's rows in the kernel, now. ``id``: the VM whose row changed;
    empty for all."""

    id: str = ""


class Attachment(msgspec.Struct, kw_only=True):
    """The answer: what the VMM needs to join the bridge. ``gateway`` is the bridge's address."""

    tap: str
    mac: str
    address: str
    prefix: int
    gateway: str
    address6: str = ""
    """With its prefix length; empty where guests have no IPv6."""


class NatJail(msgspec.Struct, kw_only=True):
    """``nat.jail``: start this VM's VMM in a jail."""

    id: str
    bases: list[str] = []
    """Ids of the images below the VM's own, topmost first."""


class NatUnjail(msgspec.Struct, kw_only=True):
    """``nat.unjail``: signal this VM's jailed VMM; its end is seen by pidfd."""

    id: str
    signal: int


class Jailed(msgspec.Struct, kw_only=True):
    """The process that is the jailer, and the VMM a moment later."""

    pid: int
    start_time: int


class NatAllow(msgspec.Struct, kw_only=True):
    """``nat.allow``: dns is about to answer this VM with these addresses of a name on its list.

    Answered when the addresses are in the VM's set. They stay for ``seconds``, counted from the
    last time they were allowed; connections that are open then go on.
    """

    id: str
    name: str
    """The name that was asked for; nat looks its ports up in the VM's own list."""
    addresses: list[str]
    seconds: int


class NatStatus(msgspec.Struct, kw_only=True):
    """``enabled`` is False in user mode: nothing on the host is touched then.

    ``problem``: what the last pass failed on, or whose firewall is in the way, with what to do; in
    one line, empty for nothing.
    """

    enabled: bool
    bridge: str = ""
    subnet: str = ""
    taps: list[str] = msgspec.field(default_factory=list)
    problem: str = ""


class DnsStatus(msgspec.Struct, kw_only=True):
    listening: bool
    address: str
    names: int
    problem: str = ""
