"""What QEMU is given of the hubs: the names in one value are those that the others mean."""

import pytest

from services.vm_supervisor.drivers.qemu.hubs import (
    CLOSED,
    FILTER_PORT,
    FIRST_HUB,
    OPEN,
    WIRE,
    WIRE_PORT,
    HubEnd,
    filtered,
    network_ids,
)


def options(value: str) -> dict[str, str]:
    """The options of a -netdev value; its type is that of ``type``."""
    kind, *pairs = value.split(",")
    return {"type": kind} | dict(pair.split("=", 1) for pair in pairs)


@pytest.mark.parametrize("end", [OPEN, CLOSED])
def test_network_of_an_end_is_made_before_the_port_that_connects_it_to_hub_0(end: HubEnd) -> None:
    network, port = (options(value) for value in end.netdevs)
    assert (network["type"], network["id"]) == ("user", end.network)
    assert port == {"type": "hubport", "id": end.port, "hubid": "0", "netdev": end.network}


def test_only_the_open_end_leads_outside() -> None:
    assert "restrict" not in options(OPEN.netdevs[0])
    assert options(CLOSED.netdevs[0])["restrict"] == "on"


def test_guest_keeps_its_address_when_one_end_takes_the_place_of_the_other() -> None:
    opened, closed = (options(end.netdevs[0]) for end in (OPEN, CLOSED))
    assert opened["net"] == closed["net"] == "10.0.3.0/24"
    assert opened["ipv6"] == closed["ipv6"] == "off"


def test_first_hub_has_a_port_for_the_device_and_one_for_the_closed_network() -> None:
    device, network = (options(value) for value in FIRST_HUB)
    assert device == {"type": "hubport", "id": "nic0", "hubid": "1"}
    assert network == {"type": "hubport", "id": "port0", "hubid": "1", "netdev": "net0"}


def test_second_device_leads_to_hub_0_through_both_ends_of_the_filter() -> None:
    device, far, port = (options(value) for value in filtered(7, 9, "f"))
    assert (device["type"], device["id"], device["local.str"]) == ("dgram", "net1", "7")
    assert (far["type"], far["id"], far["local.str"]) == ("dgram", "f", "9")
    assert port == {"type": "hubport", "id": FILTER_PORT, "hubid": "0", "netdev": "f"}


def test_no_id_is_used_twice_or_found_in_another() -> None:
    """Whether a port is there is looked up by its id in the text of QEMU's monitor."""
    first = [options(value)["id"] for value in FIRST_HUB]
    first += [FILTER_PORT, "net1"]
    ids = [OPEN.network, OPEN.port, CLOSED.network, CLOSED.port, WIRE, WIRE_PORT, *first]
    assert [(one, other) for one in ids for other in ids if one in other] == [(i, i) for i in ids]


def test_ids_are_those_of_qemu_and_no_words_of_a_path() -> None:
    answer = (
        "hub 0\r\n"
        " \\ net1: virtio-net-device.1: index=0,type=nic,model=virtio-net-device\r\n"
        " \\ drain: sink: index=0,type=user,net=10.0.3.0,restrict=on\r\n"
        "hub 1\r\n"
        " \\ wire: datagrams: index=0,type=dgram,udp=/run/uplink/a:/run/outside: b\r\n"
        "hub 3\r\n"
        " \\ lonely\r\n"
        "half: index=0,type=user,net=10.0.2.0,restrict=off\r\n"
    )
    ids = network_ids(answer)
    assert ids >= {"net1", "drain", "sink", "wire", "datagrams", "lonely", "half"}
    assert not ids & {OPEN.network, OPEN.port}
