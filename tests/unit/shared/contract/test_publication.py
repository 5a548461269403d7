"""Published ports as users write them."""

from typing import Any

import msgspec
import pytest

from shared.contract.messages.vm import Publication
from shared.contract.publication import (
    PORTS_MOST,
    check_publications,
    clash,
    parse_publication,
    refuse_doubles,
    show_publication,
)
from shared.errors import BangerError, Code


@pytest.mark.parametrize(
    ("text", "publication"),
    [
        ("8080:80", Publication(host_port=8080, guest_port=80)),
        ("8080:80/tcp", Publication(host_port=8080, guest_port=80)),
        ("53:53/udp", Publication(host_port=53, guest_port=53, protocol="udp")),
        ("0.0.0.0:1:65535", Publication(host_address="0.0.0.0", host_port=1, guest_port=65535)),
    ],
)
def test_what_is_published(text: str, publication: Publication) -> None:
    assert parse_publication(text) == publication
    assert parse_publication(show_publication(publication)) == publication


@pytest.mark.parametrize(
    "text",
    [
        *("", "80", "80:", ":80", "0:80", "80:65536", "a:b", "-1:2", "٣:1", "1:2/sctp", "1:2/"),
        *("1.2.3:1:2", "1:2:3:4", "localhost:1:2", "[::1]:1:2"),
    ],
)
def test_what_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(BangerError) as caught:
        parse_publication(text)
    assert caught.value.code is Code.INVALID


def test_same_port_of_the_host_clashes_wherever_it_leads() -> None:
    web = parse_publication("8080:80")
    assert clash(web, parse_publication("8080:81"))
    assert clash(web, parse_publication("0.0.0.0:8080:80"))
    assert not clash(web, parse_publication("127.0.0.2:8080:80"))
    assert not clash(web, parse_publication("8080:80/udp"))
    assert not clash(web, parse_publication("8081:80"))


def test_doubles_are_refused() -> None:
    web, other = parse_publication("8080:80"), parse_publication("8080:81")
    refuse_doubles([web, parse_publication("8081:80")])
    with pytest.raises(BangerError, match="the same port of the host"):
        refuse_doubles([web, other])


GOOD = Publication(host_port=8080, guest_port=80)


@pytest.mark.parametrize(
    "changes",
    [
        {"host_port": 0},
        {"host_port": 65536},
        {"guest_port": -1},
        {"host_address": ""},
        {"host_address": "::1"},
        {"host_address": "224.0.0.1"},
        {"host_address": "0.0.0.0 . 1 }"},
        {"protocol": "sctp"},
        {"host_port": 8080},
    ],
    ids=str,
)
def test_fields_that_are_no_port_and_doubles_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BangerError) as caught:
        check_publications([GOOD, msgspec.structs.replace(GOOD, **changes)])
    assert caught.value.code is Code.INVALID


def test_number_of_ports_has_an_end() -> None:
    ports = [Publication(host_port=n, guest_port=80) for n in range(1, PORTS_MOST + 2)]
    assert check_publications(ports[:-1]) == ports[:-1]
    with pytest.raises(BangerError, match="at most 256 ports, not 257"):
        check_publications(ports)
