"""``--publish [HOSTADDR:]HOST:GUEST[/udp]``: from text to a ``Publication``. Pure."""

from collections.abc import Iterable, Sequence
from ipaddress import AddressValueError, IPv4Address
from typing import TYPE_CHECKING, cast

from shared.contract.port import parse_port
from shared.errors import BangerError, Code

if TYPE_CHECKING:
    from shared.contract.messages.vm import Protocol, Publication

PORTS_MOST = 256
"""Ports that one VM publishes: each is held by a socket and is an element of the kernel's sets."""


PORTS_MOST_OF_USER = 1024
"""Ports that all VMs of one user publish: no user takes all of a host."""


def parse_publication(text: str) -> "Publication":
    """``8080:80``, ``0.0.0.0:8080:80``, ``5353:53/udp``. Raises ``invalid``."""
    from shared.contract.messages.vm import Publication

    ports, slash, protocol = text.partition("/")
    words = ports.split(":")
    if len(words) == 2:
        words.insert(0, "127.0.0.1")
    if len(words) != 3 or (slash and protocol not in ("tcp", "udp")):
        raise BangerError(
            Code.INVALID,
            f"{text!r} is not a valid port to publish",
            hint="use [HOSTADDR:]HOST:GUEST[/udp], e.g. 8080:80 or 0.0.0.0:5353:53/udp",
        )
    return Publication(
        host_address=_address(words[0]),
        host_port=_port(text, words[1]),
        guest_port=_port(text, words[2]),
        protocol=cast("Protocol", protocol or "tcp"),
    )


def show_publication(publication: "Publication") -> str:
    """``127.0.0.1:8080:80/tcp``, as ``parse_publication`` reads it."""
    ports = f"{publication.host_port}:{publication.guest_port}"
    return f"{publication.host_address}:{ports}/{publication.protocol}"


def clash(one: "Publication", other: "Publication") -> bool:
    """Whether both publish on the same port of the host. 0.0.0.0 is every address."""
    same = (one.protocol, one.host_port) == (other.protocol, other.host_port)
    addresses = {one.host_address, other.host_address}
    return same and (len(addresses) == 1 or "0.0.0.0" in addresses)


def check_publication(publication: "Publication") -> "Publication":
    """The publication with its address in canonical form.

    Raises:
        BangerError: ``invalid`` for fields that are no address, port or protocol.
    """
    checked = parse_publication(show_publication(publication))
    if IPv4Address(checked.host_address).is_multicast:
        raise BangerError(
            Code.INVALID,
            f"{checked.host_address} is a multicast address",
            hint="use an address of this host, or 0.0.0.0 for all of them",
        )
    return checked


def check_publications(publications: "Sequence[Publication]") -> "list[Publication]":
    """All publications of a VM, as they are stored. The api and nat both use this one check.

    Raises:
        BangerError: ``invalid`` for more than ``PORTS_MOST``, as ``check_publication``, and as
            ``refuse_doubles``.
    """
    if len(publications) > PORTS_MOST:
        raise BangerError(
            Code.INVALID,
            f"a VM publishes at most {PORTS_MOST} ports, not {len(publications)}",
            hint="run a proxy in the guest, or reach the ports on the VM's own address",
        )
    checked = [check_publication(publication) for publication in publications]
    refuse_doubles(checked)
    return checked


def refuse_doubles(publications: "Iterable[Publication]") -> None:
    """Raise ``invalid`` when two of them publish on the same port of the host."""
    seen: list[Publication] = []
    for publication in publications:
        for other in seen:
            if clash(publication, other):
                raise BangerError(
                    Code.INVALID,
                    f"{show_publication(publication)} and {show_publication(other)} "
                    "use the same port of the host",
                    hint="choose another port of the host for one of them",
                )
        seen.append(publication)


def _address(word: str) -> str:
    try:
        return str(IPv4Address(word))
    except AddressValueError:
        raise BangerError(
            Code.INVALID,
            f"{word!r} is not a valid IPv4 address",
            hint="use an address of this host, or 0.0.0.0 for all of them",
        ) from None


def _port(text: str, word: str) -> int:
    number = parse_port(word)
    if number is None:
        raise BangerError(Code.INVALID, f"{word!r} in {text!r} is not a valid port: use 1 to 65535")
    return number
