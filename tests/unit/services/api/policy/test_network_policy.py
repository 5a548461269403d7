"""What is refused of egress and of published ports, and whether the reason says what to do."""

import pytest

from services.api.policy.network_policy import (
    LITERAL_MOST,
    allowed_in,
    first_free_port,
    publications_in,
    published_as,
)
from shared.contract.messages.vm import NetworkMode, Publication, Vm
from shared.errors import BangerError, Code
from tests.example import example_vm

MODES: tuple[NetworkMode, ...] = ("user", "bridge")


def vm(name: str, *publish: Publication) -> Vm:
    return example_vm(id=name, name=name, publish=list(publish))


def port(number: int, **more: str) -> Publication:
    return Publication(host_port=number, guest_port=80, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("nat", [False, True])
def test_none_and_nat_are_for_both_modes(mode: NetworkMode, nat: bool) -> None:
    assert allowed_in(mode, nat=nat, allow=[]) == []


def test_a_list_is_stored_in_lower_case_without_doubles() -> None:
    allow = ["Example.ORG:443", "192.0.2.0/24", "example.org:443 "]
    assert allowed_in("bridge", nat=False, allow=allow) == ["example.org:443", "192.0.2.0/24"]


def test_a_list_is_refused_in_user_mode_with_the_reason_and_a_way() -> None:
    with pytest.raises(BangerError) as refused:
        allowed_in("user", nat=False, allow=["example.org"])
    assert refused.value.code is Code.INVALID
    assert "does not filter by name" in refused.value.message
    assert "bridge mode" in refused.value.hint


def test_local_networks_beside_all_of_the_outside_are_for_both_modes() -> None:
    for mode in MODES:
        assert allowed_in(mode, nat=True, allow=["192.168.1.0/24"]) == ["192.168.1.0/24"]
    many = [f"10.0.{n}.1" for n in range(LITERAL_MOST + 1)]
    assert allowed_in("user", nat=True, allow=many[1:]) == many[1:]
    for nat, allow in ((True, many), (False, ["192.168.1.0/24"]), (True, ["db.vm"])):
        with pytest.raises(BangerError):
            allowed_in("user", nat=nat, allow=allow)


def test_guests_may_be_beside_the_whole_outside() -> None:
    assert allowed_in("bridge", nat=True, allow=["db.vm:5432", "*.vm"]) == ["db.vm:5432", "*.vm"]
    with pytest.raises(BangerError) as refused:
        allowed_in("bridge", nat=True, allow=["db.vm", "example.org"])
    assert refused.value.message.endswith(": example.org")


@pytest.mark.parametrize(("nat", "allow"), [(True, ["example.org"]), (False, ["not a name"])])
def test_what_contradicts_itself_or_is_no_entry_is_refused(nat: bool, allow: list[str]) -> None:
    with pytest.raises(BangerError) as refused:
        allowed_in("bridge", nat=nat, allow=allow)
    assert refused.value.code is Code.INVALID


def test_what_a_message_brings_is_read_again() -> None:
    for bad in (
        port(0),
        port(65536),
        port(80, host_address="localhost"),
        Publication(host_port=80, guest_port=-1),
    ):
        with pytest.raises(BangerError) as refused:
            publications_in("bridge", [bad], 1)
        assert refused.value.code is Code.INVALID
    with pytest.raises(BangerError, match="the same port of the host"):
        publications_in("bridge", [port(80), port(80, host_address="0.0.0.0")], 1)
    assert publications_in("bridge", [port(80)], 1) == [port(80)]


def test_a_port_of_roots_is_refused_in_user_mode_with_a_way() -> None:
    with pytest.raises(BangerError) as refused:
        publications_in("user", [port(80)], 1024)
    assert refused.value.code is Code.DENIED
    assert "net.ipv4.ip_unprivileged_port_start=80" in refused.value.hint
    assert "bridge mode" in refused.value.hint
    assert publications_in("user", [port(1024)], 1024)
    assert publications_in("bridge", [port(80)], 1024)


TCP = port(8080)
UDP, EVERYWHERE = (
    Publication(host_port=host, guest_port=53, protocol="udp", host_address=address)
    for host, address in ((5353, "127.0.0.1"), (53, "0.0.0.0"))
)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("8080", [TCP]),
        ("8080/tcp", [TCP]),
        ("8080:80", [TCP]),
        ("127.0.0.1:8080:80/tcp", [TCP]),
        ("5353/udp", [UDP]),
        ("0.0.0.0:53:53", [EVERYWHERE]),
    ],
)
def test_a_part_of_a_publication_is_enough_to_mean_it(words: str, meant: list[Publication]) -> None:
    assert published_as(words, vm("web", TCP, UDP, EVERYWHERE)) == meant


def test_words_without_an_address_or_a_protocol_mean_all_that_fit() -> None:
    both = [port(53, host_address="127.0.0.2"), EVERYWHERE]
    assert published_as("53", vm("web", TCP, *both)) == both


@pytest.mark.parametrize("words", ["80", "8080:81", "8080/udp", "127.0.0.2:8080:80", "x", ""])
def test_what_a_vm_does_not_publish_is_not_found(words: str) -> None:
    with pytest.raises(BangerError) as refused:
        published_as(words, vm("web", TCP))
    assert refused.value.code is Code.NOT_FOUND
    assert f"web does not publish {words}" == refused.value.message


def test_the_lowest_port_of_this_process_is_one_that_there_is() -> None:
    assert first_free_port() in range(65536)
