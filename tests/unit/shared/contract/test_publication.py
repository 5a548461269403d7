"""Published ports as users write them."""

import pytest

from shared.contract.messages.vm import Publication
from shared.contract.publication import clash, parse_publication, refuse_doubles, show_publication
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
