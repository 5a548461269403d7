"""Published ports and egress lists with real packets: who gets through, and who does not."""

import contextlib
import json
import socket
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from services.nat.kernel.sockets import ports_of_others
from services.nat.plan.publications import assign_ports
from services.nat.plan.state import BridgeGuest as GuestSpec
from services.nat.plan.state import tag_of
from services.nat.ruleset.sets import AllowedAddress
from shared.errors import BangerError, Code
from tests.integration.namespaces import Guest, Namespace, Place
from tests.integration.nat_lab import (
    GATEWAY,
    NEEDED,
    OUTSIDE,
    QUICK,
    UPLINK,
    Lab,
    fetch,
    is_cut_off,
    made_lab,
    made_services,
    spec,
)
from tests.stack import Stack, want
from tests.waiting import eventually

pytestmark = NEEDED

ALPHA, BETA = "aaaaaaaaaaaa", "bbbbbbbbbbbb"
BESIDE = "192.31.196.3"
"""A second address of the outside's."""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with made_lab(tmp_path) as made:
        made.outside.sh(f"ip addr add {BESIDE}/24 dev uplink")
        made.serve(made.outside, BESIDE, 80)
        made.serve(made.outside, OUTSIDE, 8443)
        yield made


def alpha(*, allow: str = "", publish: str = "", nat: bool = False) -> GuestSpec:
    return spec(ALPHA, "10.77.0.2", nat=nat, allow=allow, publish=publish)


def published(lab: Lab, publish: str) -> Guest:
    """A guest without the outside that serves port 80, published so."""
    guest = alpha(publish=publish)
    lab.reconcile(guest)
    booted = lab.boot(guest)
    lab.serve(booted, str(guest.address), 80)
    return booted


def test_port_published_everywhere_is_reached_from_outside_by_the_askers_own_address(
    lab: Lab,
) -> None:
    published(lab, "0.0.0.0:8080:80")
    assert fetch(lab.outside, UPLINK, 8080) == OUTSIDE


def test_port_published_everywhere_is_reached_by_the_hosts_own_programs(lab: Lab) -> None:
    published(lab, "0.0.0.0:8080:80")
    assert fetch(lab.place, "127.0.0.1", 8080) == GATEWAY
    assert fetch(lab.place, UPLINK, 8080) == UPLINK


def test_port_published_on_loopback_is_the_hosts_alone(lab: Lab) -> None:
    published(lab, "8080:80")
    assert fetch(lab.place, "127.0.0.1", 8080) == GATEWAY
    assert is_cut_off(lab.place, UPLINK, 8080)
    assert is_cut_off(lab.outside, UPLINK, 8080)
    assert lab.place.sh("cat /proc/sys/net/ipv4/ip_forward") == "0\n"


def test_port_published_on_one_address_is_not_on_another(lab: Lab) -> None:
    published(lab, f"{UPLINK}:8080:80")
    assert fetch(lab.outside, UPLINK, 8080) == OUTSIDE
    assert is_cut_off(lab.place, "127.0.0.1", 8080)
    assert lab.place.sh("cat /proc/sys/net/ipv4/conf/br-banger/route_localnet") == "0\n"


def send_loopback_out(place: Namespace, gateway: str) -> None:
    """Have packets for 127.0.0.1 leave this namespace, as a hostile neighbour would."""
    place.sh("ip addr del 127.0.0.1/8 dev lo")
    place.sh("sysctl -qw net.ipv4.conf.all.route_localnet=1")
    place.sh(f"ip route add 127.0.0.1/32 via {gateway}")


def test_loopback_is_not_reached_from_outside_where_the_host_routes_it(lab: Lab) -> None:
    published(lab, "0.0.0.0:8080:80")
    lab.place.sh("sysctl -qw net.ipv4.conf.all.route_localnet=1")
    assert fetch(lab.outside, UPLINK, 8080) == OUTSIDE
    send_loopback_out(lab.outside, UPLINK)
    assert is_cut_off(lab.outside, "127.0.0.1", 8080)


def test_guest_never_reaches_the_hosts_loopback(lab: Lab) -> None:
    guest = published(lab, "8080:80")
    lab.serve(lab.place, "127.0.0.1", 9000)
    assert lab.place.sh("cat /proc/sys/net/ipv4/conf/br-banger/route_localnet") == "1\n"
    send_loopback_out(guest, GATEWAY)
    assert is_cut_off(guest, "127.0.0.1", 9000)
    lab.place.sh("nft flush chain inet banger guest_to_host")
    assert is_cut_off(guest, "127.0.0.1", 9000)  # by either of two rules
    lab.place.sh("nft flush chain inet banger raw")
    assert fetch(guest, "127.0.0.1", 9000) == "10.77.0.2"


def test_guest_reaches_no_published_port(lab: Lab) -> None:
    one, other = alpha(publish="0.0.0.0:8080:80"), spec(BETA, "10.77.0.3", nat=True)
    lab.reconcile(one, other)
    lab.serve(lab.boot(one), str(one.address), 80)
    asker = lab.boot(other)
    assert fetch(asker, OUTSIDE) == UPLINK
    for address in (GATEWAY, UPLINK):
        assert is_cut_off(asker, address, 8080)


def test_outside_reaches_no_port_that_is_not_published(lab: Lab) -> None:
    guest = published(lab, "0.0.0.0:8080:80")
    lab.serve(guest, "10.77.0.2", 81)
    assert is_cut_off(lab.outside, UPLINK, 81)
    assert is_cut_off(lab.outside, "10.77.0.2", 80)
    assert is_cut_off(lab.outside, "10.77.0.2", 8080)


def test_publishing_opens_nothing_to_the_guest(lab: Lab) -> None:
    assert is_cut_off(published(lab, "0.0.0.0:8080:80"), OUTSIDE)


def test_published_port_goes_with_its_row(lab: Lab) -> None:
    published(lab, "0.0.0.0:8080:80,8081:80")
    lab.reconcile(alpha())
    assert is_cut_off(lab.outside, UPLINK, 8080)
    assert is_cut_off(lab.place, "127.0.0.1", 8081)
    assert lab.place.sh("cat /proc/sys/net/ipv4/ip_forward") == "0\n"
    assert lab.place.sh("cat /proc/sys/net/ipv4/conf/br-banger/route_localnet") == "0\n"


@pytest.mark.parametrize(("asker", "address"), [("outside", UPLINK), ("place", "127.0.0.1")])
def test_udp_is_published_too(lab: Lab, asker: str, address: str) -> None:
    guest = alpha(publish="0.0.0.0:5353:53/udp")
    lab.reconcile(guest)
    booted = lab.boot(guest)
    with udp_at(booted, "10.77.0.2", 53) as server, udp_at(getattr(lab, asker)) as client:
        client.sendto(b"question", (address, 5353))
        question, peer = server.recvfrom(64)
        server.sendto(question[::-1], peer)
        assert client.recvfrom(64) == (b"noitseuq", (address, 5353))


def udp_at(place: Place, address: str = "", port: int = 0) -> socket.socket:
    made = place.run(lambda: socket.socket(type=socket.SOCK_DGRAM))
    made.bind((address, port))
    made.settimeout(QUICK)
    return made


def test_vm_on_a_list_reaches_that_and_no_more(lab: Lab) -> None:
    guest = alpha(allow=f"{OUTSIDE}:80")
    lab.reconcile(guest)
    booted = lab.boot(guest)
    assert fetch(booted, OUTSIDE) == UPLINK
    assert is_cut_off(booted, OUTSIDE, 8443)
    assert is_cut_off(booted, BESIDE)


def test_entries_that_overlap_are_all_in_force(lab: Lab) -> None:
    guest = alpha(allow=f"192.31.196.0/24:80,{OUTSIDE}:80,{OUTSIDE},192.31.196.0/31,{BESIDE}:443")
    lab.reconcile(guest)
    booted = lab.boot(guest)
    assert fetch(booted, OUTSIDE, 8443) == fetch(booted, BESIDE, 80) == UPLINK


def test_a_list_of_everything_leads_to_no_other_guest_and_no_service_of_the_host(lab: Lab) -> None:
    guest, other = alpha(allow="0.0.0.0/0"), spec(BETA, "10.77.0.3")
    lab.reconcile(guest, other)
    booted = lab.boot(guest)
    lab.serve(lab.boot(other), str(other.address), 80)
    lab.serve(lab.place, "0.0.0.0", 8080)
    assert fetch(booted, OUTSIDE) == UPLINK
    assert is_cut_off(booted, GATEWAY, 8080)
    booted.sh(f"ip route add {other.address}/32 via {GATEWAY}")
    assert is_cut_off(booted, str(other.address))


def test_the_list_of_one_vm_is_nobody_elses(lab: Lab) -> None:
    guest, other = alpha(allow=OUTSIDE), spec(BETA, "10.77.0.3", allow=BESIDE)
    lab.reconcile(guest, other)
    assert is_cut_off(lab.boot(other), OUTSIDE)
    assert is_cut_off(lab.boot(guest), BESIDE)


def named(guest: GuestSpec, address: str, seconds: int) -> AllowedAddress:
    entry = guest.names[0]
    return AllowedAddress(
        guest.address, IPv4Address(address), entry.port, seconds, tag_of(guest.id, entry)
    )


@pytest.mark.parametrize("entry", ["example.org", "example.org:80"])
def test_name_leads_to_its_address_for_its_time_and_open_connections_go_on(
    lab: Lab, entry: str
) -> None:
    guest = alpha(allow=entry)
    lab.reconcile(guest)
    booted = lab.boot(guest)
    assert is_cut_off(booted, OUTSIDE)
    lab.place.run(lambda: lab.host.allow([named(guest, OUTSIDE, 3)]))
    with booted.run(lambda: socket.create_connection((OUTSIDE, 80), QUICK)) as connection:
        eventually(lambda: is_cut_off(booted, OUTSIDE))
        connection.sendall(b"GET / HTTP/1.0\r\n")
        lab.reconcile(guest, spec(BETA, "10.77.0.3"), allowed=(named(guest, OUTSIDE, 0),))
        connection.sendall(b"\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.0 200")
    assert is_cut_off(booted, OUTSIDE)


def test_open_connection_ends_when_its_name_leaves_the_list(lab: Lab) -> None:
    guest = alpha(allow="example.org")
    lab.reconcile(guest, allowed=(named(guest, OUTSIDE, 60),))
    booted = lab.boot(guest)
    with booted.run(lambda: socket.create_connection((OUTSIDE, 80), QUICK)) as connection:
        lab.reconcile(alpha(allow="example.com"))
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with pytest.raises(OSError, match=r"host|timed out"):
            connection.recv(4096)


def test_what_names_have_led_to_is_read_back_from_the_kernel(lab: Lab) -> None:
    guest, other = alpha(allow="example.org:80"), spec(BETA, "10.77.0.3", allow="*.example.org")
    live = [named(guest, OUTSIDE, 60), named(other, BESIDE, 60)]
    assert lab.place.run(lab.host.allowed_addresses) == []
    lab.reconcile(guest, other)
    lab.place.run(lambda: lab.host.allow(live))
    lab.place.run(lambda: lab.host.allow(live))  # again: the time starts anew, nothing is doubled
    found = lab.place.run(lab.host.allowed_addresses)
    timed = {(one.source, one.destination, one.port, one.tag) for one in found if one.seconds > 50}
    assert timed == {(one.source, one.destination, one.port, one.tag) for one in live}
    assert len(found) == 4  # each for new connections and for open ones


def test_addresses_that_are_forgotten_leave_the_kernel_too(lab: Lab) -> None:
    guest = alpha(allow="example.org")
    lab.reconcile(guest)
    first, second = named(guest, OUTSIDE, 60), named(guest, BESIDE, 60)
    lab.place.run(lambda: lab.host.allow([first]))
    lab.place.run(lambda: lab.host.allow([second], [replace(first, seconds=0)]))
    lab.place.run(lambda: lab.host.allow([second], [replace(first, seconds=0)]))  # not there
    listed = lab.place.sh("nft list set inet banger established")
    assert BESIDE in listed
    assert OUTSIDE not in listed


SPECIAL = ("169.254.169.254", "168.63.129.16", "100.100.100.200", "192.168.5.1", "10.9.0.1")
"""Metadata services of clouds, and a server in the host's local network of each kind."""


def serve_special(lab: Lab) -> None:
    for address in SPECIAL:
        lab.outside.sh(f"ip addr add {address}/32 dev uplink")
        lab.place.sh(f"ip route add {address}/32 via {OUTSIDE}")
        lab.serve(lab.outside, address, 80)
        assert fetch(lab.place, address) == UPLINK


@pytest.mark.parametrize(
    ("nat", "allow"),
    [
        (True, ""),
        (False, "0.0.0.0/0"),
        (False, "0.0.0.0/0:80"),
        (True, "192.168.5.1:81,192.168.6.0/24,10.9.0.2"),
    ],
)
def test_outside_has_no_metadata_service_and_no_local_network(
    lab: Lab, nat: bool, allow: str
) -> None:
    guest = alpha(nat=nat, allow=allow)
    lab.reconcile(guest)
    serve_special(lab)
    booted = lab.boot(guest)
    assert fetch(booted, OUTSIDE) == UPLINK
    assert [address for address in SPECIAL if not is_cut_off(booted, address)] == []


@pytest.mark.parametrize("nat", [True, False])
def test_list_that_names_a_special_address_literally_leads_there(lab: Lab, nat: bool) -> None:
    guest = alpha(nat=nat, allow="169.254.169.254,168.63.129.16:80,192.168.0.0/16,100.64.0.0/10:80")
    lab.reconcile(guest)
    serve_special(lab)
    booted = lab.boot(guest)
    assert [address for address in SPECIAL if is_cut_off(booted, address)] == ["10.9.0.1"]
    assert is_cut_off(booted, OUTSIDE) is not nat


def test_name_that_an_older_nat_allowed_to_lead_inside_leads_there_no_more(lab: Lab) -> None:
    guest = alpha(allow="example.org")
    lab.reconcile(guest, allowed=(named(guest, "192.168.5.1", 60), named(guest, OUTSIDE, 60)))
    serve_special(lab)
    booted = lab.boot(guest)
    assert fetch(booted, OUTSIDE) == UPLINK
    assert is_cut_off(booted, "192.168.5.1")


@pytest.fixture
def stack(lab: Lab) -> Iterator[Stack]:
    with made_services(lab) as made:
        yield made


def start_vm(lab: Lab, stack: Stack, vm_id: str, name: str, **policy: Any) -> Guest:
    row = stack.reserve(vm_id, name, network="bridge", subnet="10.77.0.0/24", **policy)
    stack.call("store", "vm.update", id=vm_id, state="running")
    stack.call("nat", "nat.attach", id=vm_id)
    return lab.boot(spec(vm_id, row["address"]))


def allow(stack: Stack, *addresses: str, name: str = "a.example.org", seconds: int = 60) -> None:
    stack.call("nat", "nat.allow", id=ALPHA, name=name, addresses=list(addresses), seconds=seconds)


def test_allowed_name_survives_changes_and_the_death_of_nat(lab: Lab, stack: Stack) -> None:
    guest = start_vm(lab, stack, ALPHA, "alpha", allow=["*.example.org:80"])
    allow(stack, OUTSIDE)
    assert fetch(guest, OUTSIDE) == UPLINK
    assert is_cut_off(guest, OUTSIDE, 8443)
    stack.kill("nat")
    stack.start("nat", lab.place.run)
    start_vm(lab, stack, BETA, "beta")  # new rules
    assert fetch(guest, OUTSIDE) == UPLINK
    want(stack.call, ALPHA, allow=["example.com"])
    eventually(lambda: is_cut_off(guest, OUTSIDE))


@pytest.mark.parametrize(
    ("name", "address", "code"),
    [
        ("example.com", OUTSIDE, Code.DENIED),
        ("example.org", OUTSIDE, Code.DENIED),  # the list has only what is below it
        ("a.example.org", "127.0.0.1", Code.INVALID),
        ("a.example.org", "169.254.169.254", Code.INVALID),
        ("a.example.org", "168.63.129.16", Code.INVALID),
        ("a.example.org", "192.168.5.1", Code.INVALID),
        ("a.example.org", "100.64.0.1", Code.INVALID),
        ("a.example.org", "224.0.0.1", Code.INVALID),
        ("a.example.org", "10.77.0.3", Code.INVALID),
        ("a.example.org", "0.0.0.0", Code.INVALID),
        ("a.example.org", "255.255.255.255", Code.INVALID),
        ("a.example.org", '1.2.3.4" }', Code.INVALID),
    ],
)
def test_answer_that_the_list_does_not_cover_or_that_leads_inside_is_refused(
    lab: Lab, stack: Stack, name: str, address: str, code: Code
) -> None:
    start_vm(lab, stack, ALPHA, "alpha", allow=["*.example.org"])
    with pytest.raises(BangerError) as caught:
        allow(stack, OUTSIDE, address, name=name)
    assert caught.value.code is code
    assert lab.place.run(lab.host.allowed_addresses) == []


def test_name_is_not_allowed_for_a_vm_that_is_not_up(stack: Stack) -> None:
    stack.reserve(ALPHA, "alpha", network="bridge", subnet="10.77.0.0/24", allow=["example.org"])
    with pytest.raises(BangerError) as caught:
        allow(stack, OUTSIDE, name="example.org")
    assert caught.value.code is Code.NOT_RUNNING


def test_row_that_cannot_be_keeps_no_other_vm_from_the_network(lab: Lab, stack: Stack) -> None:
    stack.reserve(BETA, "beta", network="bridge", subnet="10.77.0.0/24")
    want(stack.call, BETA, allow=["} ; flush ruleset"])
    stack.call("store", "vm.update", id=BETA, state="running")
    guest = start_vm(lab, stack, ALPHA, "alpha", nat=True)
    assert fetch(guest, OUTSIDE) == UPLINK
    assert BETA in stack.paths.log_file("nat").read_text()


def plant(stack: Stack, vm_id: str, field: str, value: Any) -> None:
    """Write what the api and the store refuse, as an older version or another program may."""
    change = f"UPDATE vm SET spec=json_set(spec, '$.{field}', json(?)) WHERE id=?"
    with contextlib.closing(sqlite3.connect(stack.paths.database)) as database, database:
        database.execute(change, (json.dumps(value), vm_id))


def test_bad_row_of_a_live_vm_keeps_its_tap_and_the_usable_part_and_is_told(
    lab: Lab, stack: Stack
) -> None:
    guest = start_vm(lab, stack, ALPHA, "alpha", allow=[f"{OUTSIDE}:80"])
    start_vm(lab, stack, BETA, "beta")
    tap = lab.place.sh(f"ip -o link show bgr{ALPHA}").partition(":")[0]
    many = [f"{OUTSIDE}:80", *(f"n{number}.example.org" for number in range(1024))]
    ports = [{"host_port": 9000 + n, "guest_port": 80} for n in range(257)]
    for field, value in (("allow", many), ("allow", ["x y", many[0]]), ("publish", ports)):
        plant(stack, ALPHA, field, value)
        with pytest.raises(BangerError, match=r"^VM alpha: .* left out: ") as caught:
            stack.call("nat", "nat.apply", id=ALPHA)
        assert caught.value.code is Code.CONFLICT
        stack.call("nat", "nat.apply", id=BETA)
        assert lab.place.sh(f"ip -o link show bgr{ALPHA}").partition(":")[0] == tap
        assert fetch(guest, OUTSIDE) == UPLINK
        assert "left out" in stack.call("nat", "nat.status")["problem"]
    plant(stack, ALPHA, "allow", [])
    plant(stack, ALPHA, "publish", [])
    stack.call("nat", "nat.apply")
    assert stack.call("nat", "nat.status")["problem"] == ""
    assert is_cut_off(guest, OUTSIDE)


def test_live_vm_whose_address_is_lost_keeps_its_tap_and_is_silent(lab: Lab, stack: Stack) -> None:
    guest = start_vm(lab, stack, ALPHA, "alpha", nat=True)
    tap = lab.place.sh(f"ip -o link show bgr{ALPHA}").partition(":")[0]
    readdress(stack, "192.0.2.1")
    with pytest.raises(BangerError, match="not in the bridge's subnet"):
        stack.call("nat", "nat.apply", id=ALPHA)
    assert is_cut_off(guest, OUTSIDE)
    assert lab.place.sh(f"ip -o link show bgr{ALPHA}").partition(":")[0] == tap
    readdress(stack, "10.77.0.2")
    stack.call("nat", "nat.apply", id=ALPHA)
    assert fetch(guest, OUTSIDE) == UPLINK


def readdress(stack: Stack, address: str) -> None:
    with contextlib.closing(sqlite3.connect(stack.paths.database)) as database, database:
        database.execute("UPDATE vm SET address=? WHERE id=?", (address, ALPHA))


def test_port_published_by_two_vms_is_the_firsts(lab: Lab, stack: Stack) -> None:
    port = {"host_port": 8080, "guest_port": 80, "host_address": "0.0.0.0"}
    first = start_vm(lab, stack, ALPHA, "alpha", publish=[port])
    stack.reserve(BETA, "beta", network="bridge", subnet="10.77.0.0/24")
    plant(stack, BETA, "publish", [{**port, "host_address": UPLINK}])
    stack.call("store", "vm.update", id=BETA, state="running")
    stack.call("nat", "nat.attach", id=BETA)
    lab.serve(first, "10.77.0.2", 80)
    assert fetch(lab.outside, UPLINK, 8080) == OUTSIDE
    assert fetch(lab.place, "10.77.0.2") == GATEWAY
    assert "another VM publishes this port" in stack.paths.log_file("nat").read_text()


def log_of(stack: Stack) -> str:
    return stack.paths.log_file("nat").read_text()


def test_guest_that_lies_about_its_address_is_named_in_the_log(lab: Lab, stack: Stack) -> None:
    guest = start_vm(lab, stack, ALPHA, "alpha", nat=True)
    assert fetch(guest, OUTSIDE) == UPLINK
    start_vm(lab, stack, BETA, "beta")
    assert "not its own" not in log_of(stack)
    guest.sh("ip addr add 10.77.0.99/24 dev eth0")
    with guest.run(lambda: socket.socket(type=socket.SOCK_DGRAM)) as liar:
        liar.bind(("10.77.0.99", 0))
        for _ in range(3):
            liar.sendto(b"it is me", (OUTSIDE, 9))
    stack.call("store", "vm.update", id=BETA, state="stopped")  # a pass, sooner than the resync
    eventually(lambda: "spoofed frames of alpha" in log_of(stack))
    assert "frames of beta" not in log_of(stack)


def test_guest_that_answers_as_dhcp_server_is_heard_by_nobody(lab: Lab) -> None:
    one, other = alpha(nat=True), spec(BETA, "10.77.0.3", nat=True)
    lab.reconcile(one, other)
    server, asker = lab.boot(one), lab.boot(other)
    with (
        udp_at(server, "", 67) as offers,
        udp_at(asker, "", 68) as waits,
        udp_at(lab.place, "", 68) as host_waits,
    ):
        offers.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        for target in ("255.255.255.255", "10.77.0.255", "10.77.0.3", GATEWAY):
            with contextlib.suppress(OSError):  # told by the host that it may not
                offers.sendto(b"offer", (target, 68))
        for listener in (waits, host_waits):
            with pytest.raises(TimeoutError):
                listener.recv(64)


def test_untrusted_users_row_gets_no_port_of_others(lab: Lab) -> None:
    """Root's nat for a user, without the processes: tests/integration/test_users.py has those."""
    with lab.place.run(lambda: socket.create_server((UPLINK, 8080))):
        others = lab.place.run(lambda: ports_of_others(65534))
        assert ("tcp", 8080) in others
        wanted = alpha(publish="0.0.0.0:8080:80,8081:80,443:443")
        assigned = assign_ports([wanted], others)
    assert [port.host_port for port in assigned.guests[0].publish] == [8081]
    assert len(assigned.refused) == 2
