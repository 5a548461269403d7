"""The bridge network in a real kernel: taps, rules and forwarding in namespaces made for a test.

The host is a namespace, the guests are namespaces behind real taps, the outside is one more
with a web server that says who asks.
"""

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from services.nat.plan.state import BridgeGuest as GuestSpec
from services.nat.plan.steps import ApplyRules
from shared.addresses.mac import mac_address
from shared.errors import BangerError, Code
from tests.integration.namespaces import Namespace, join_tap, open_tun
from tests.integration.nat_lab import (
    GATEWAY,
    NEEDED,
    NOBODY,
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
from tests.stack import Stack, new_stack, want
from tests.waiting import eventually

pytestmark = NEEDED

ALPHA = spec("aaaaaaaaaaaa", "10.77.0.2", nat=True)
BETA = spec("bbbbbbbbbbbb", "10.77.0.3", nat=False)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with made_lab(tmp_path) as made:
        yield made


def test_member_of_the_nat_set_reaches_the_outside_as_the_host(lab: Lab) -> None:
    lab.reconcile(ALPHA)
    assert fetch(lab.boot(ALPHA), OUTSIDE) == UPLINK


def test_guest_that_is_no_member_reaches_nothing_outside(lab: Lab) -> None:
    lab.reconcile(ALPHA, BETA)
    assert fetch(lab.boot(ALPHA), OUTSIDE) == UPLINK
    assert is_cut_off(lab.boot(BETA), OUTSIDE)


def test_membership_can_be_given_and_taken_while_the_guest_runs(lab: Lab) -> None:
    lab.reconcile(ALPHA, BETA)
    guest = lab.boot(BETA)
    assert is_cut_off(guest, OUTSIDE)
    lab.reconcile(ALPHA, replace(BETA, nat=True))
    assert fetch(guest, OUTSIDE) == UPLINK
    lab.reconcile(ALPHA, BETA)
    assert is_cut_off(guest, OUTSIDE)


@pytest.mark.parametrize("others", [(), (ALPHA,)], ids=["forwarding-off", "forwarding-on"])
def test_guest_without_the_outside_is_told_so_at_once(
    lab: Lab, others: tuple[GuestSpec, ...]
) -> None:
    lab.reconcile(BETA, *others)
    guest = lab.boot(BETA)
    with pytest.raises(OSError) as caught:
        guest.run(lambda: socket.create_connection((OUTSIDE, 80), QUICK))
    assert caught.value.errno == errno.EHOSTUNREACH


def test_host_reaches_its_guest(lab: Lab) -> None:
    lab.reconcile(BETA)
    lab.serve(lab.boot(BETA), str(BETA.address), 8080)
    assert fetch(lab.place, str(BETA.address), 8080) == GATEWAY


def test_host_reaches_a_guest_at_once_that_got_the_address_of_another(lab: Lab) -> None:
    lab.reconcile(ALPHA, BETA)
    lab.boot(ALPHA)  # one that stays: the host forgets all it knows when the last one goes
    lab.serve(lab.boot(BETA), str(BETA.address), 80)
    assert fetch(lab.place, str(BETA.address)) == str(GATEWAY)
    lab.reconcile(ALPHA)
    heir = spec("cccccccccccc", str(BETA.address), nat=False)
    lab.reconcile(ALPHA, heir)
    lab.serve(lab.boot(heir), str(heir.address), 80)
    assert fetch(lab.place, str(heir.address)) == str(GATEWAY)


def test_guests_do_not_reach_each_other(lab: Lab) -> None:
    lab.reconcile(ALPHA, BETA)
    alpha, beta = lab.boot(ALPHA), lab.boot(BETA)
    lab.serve(beta, str(BETA.address), 8080)
    assert is_cut_off(alpha, str(BETA.address), 8080)
    # Nor by way of the host, which does forward for alpha:
    alpha.sh(f"ip route add {BETA.address}/32 via {GATEWAY}")
    assert is_cut_off(alpha, str(BETA.address), 8080)


def test_isolation_outlives_a_flush_of_all_rules(lab: Lab) -> None:
    lab.reconcile(ALPHA, BETA)
    alpha, beta = lab.boot(ALPHA), lab.boot(BETA)
    lab.serve(beta, str(BETA.address), 8080)
    lab.place.sh("nft flush ruleset")
    assert is_cut_off(alpha, str(BETA.address), 8080)


@pytest.mark.parametrize("address", [GATEWAY, UPLINK])
def test_guest_reaches_no_service_of_the_host(lab: Lab, address: str) -> None:
    lab.reconcile(ALPHA)
    lab.serve(lab.place, "0.0.0.0", 8080)
    assert fetch(lab.place, address, 8080) == address  # it is there
    assert is_cut_off(lab.boot(ALPHA), address, 8080)


def test_guest_may_ask_the_host_for_names(lab: Lab) -> None:
    lab.reconcile(BETA)
    lab.serve(lab.place, GATEWAY, NOBODY.dns_port)
    guest = lab.boot(BETA)
    assert fetch(guest, GATEWAY, 53) == str(BETA.address)
    assert is_cut_off(guest, GATEWAY, NOBODY.dns_port)  # that door is not for knocking at


def test_guest_cannot_borrow_the_address_of_a_member(lab: Lab) -> None:
    lab.reconcile(ALPHA, BETA)
    assert is_cut_off(lab.boot(BETA, address=str(ALPHA.address)), OUTSIDE)


def test_guest_cannot_send_even_one_packet_in_the_name_of_a_member(lab: Lab) -> None:
    lab.reconcile(ALPHA, BETA)
    with lab.outside.run(lambda: socket.socket(type=socket.SOCK_DGRAM)) as heard:
        heard.bind((OUTSIDE, 9))
        heard.settimeout(QUICK)
        _send_from(str(ALPHA.address), lab.boot(ALPHA))
        assert heard.recv(16) == b"it is me"
        liar = lab.boot(BETA)
        # Its own ARP stays truthful, so that nothing but the address gives it away.
        liar.sh(f"ip neigh add {GATEWAY} lladdr {NOBODY.mac} dev eth0")
        liar.sh(f"ip addr add {ALPHA.address}/32 dev eth0")
        _send_from(str(ALPHA.address), liar)
        with pytest.raises(TimeoutError):
            heard.recv(16)


def _send_from(source: str, guest: Namespace) -> None:
    def send() -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as sender:
            sender.bind((source, 0))
            sender.sendto(b"it is me", (OUTSIDE, 9))

    guest.run(send)


def test_guest_with_a_hardware_address_of_its_own_making_is_not_heard(lab: Lab) -> None:
    lab.reconcile(ALPHA)
    guest = lab.boot(ALPHA, mac="02:00:00:00:00:99")
    assert is_cut_off(guest, OUTSIDE)
    guest.sh(f"ip link set eth0 address {ALPHA.mac}")
    assert fetch(guest, OUTSIDE) == UPLINK


def test_guest_cannot_answer_for_an_address_that_is_not_its_own(lab: Lab) -> None:
    lab.reconcile(ALPHA)
    lab.boot(ALPHA, address="10.77.0.99")
    assert is_cut_off(lab.place, "10.77.0.99", 8080)
    neighbours = lab.place.sh("ip neigh show 10.77.0.99 dev br-banger")
    assert mac_address(ALPHA.id) not in neighbours


def test_guest_cannot_be_reached_from_outside(lab: Lab) -> None:
    lab.reconcile(ALPHA)
    lab.serve(lab.boot(ALPHA), str(ALPHA.address), 8080)
    stranger = Namespace()
    lab.cleanup.callback(stranger.close)
    lab.place.cable_to(stranger, "lan", "203.0.113.1/24", "203.0.113.2/24")
    stranger.sh("ip route add default via 203.0.113.1")
    assert is_cut_off(stranger, str(ALPHA.address), 8080)


def test_second_pass_finds_nothing_to_do(lab: Lab) -> None:
    assert lab.reconcile(ALPHA, BETA)
    before = lab.dump()
    assert lab.reconcile(ALPHA, BETA) == []
    assert lab.dump() == before


def test_open_connection_survives_new_rules(lab: Lab) -> None:
    lab.reconcile(ALPHA)
    guest = lab.boot(ALPHA)
    with guest.run(lambda: socket.create_connection((OUTSIDE, 80), QUICK)) as connection:
        steps = lab.reconcile(ALPHA, BETA)
        assert ApplyRules in {type(step) for step in steps}
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert UPLINK.encode() in _read_all(connection)


def _read_all(connection: socket.socket) -> bytes:
    chunks = []
    while chunk := connection.recv(4096):
        chunks.append(chunk)
    return b"".join(chunks)


@pytest.mark.parametrize("forwarding", ["0", "1"])
def test_last_guest_leaves_the_host_as_it_was(lab: Lab, forwarding: str) -> None:
    lab.place.sh(f"sysctl -qw net.ipv4.ip_forward={forwarding}")
    before = lab.dump()
    lab.reconcile(ALPHA, BETA)
    assert lab.dump() != before
    lab.reconcile(BETA)
    lab.reconcile()
    assert lab.dump() == before


def test_foreign_taps_rules_and_bridges_are_untouched(lab: Lab) -> None:
    lab.place.sh("ip tuntap add dev bgrcccccccccccc mode tap user 4242")
    lab.place.sh("ip tuntap add dev tap0 mode tap")
    lab.place.sh("ip link add br-other type bridge")
    lab.place.sh("nft add table inet other")
    before = lab.dump()
    lab.reconcile(ALPHA)
    lab.reconcile()
    assert lab.dump() == before


def test_bridge_of_somebody_else_with_our_name_is_refused_and_untouched(lab: Lab) -> None:
    lab.place.sh("ip link add br-banger type bridge")
    before = lab.dump()
    with pytest.raises(BangerError) as caught:
        lab.reconcile(ALPHA)
    assert caught.value.code is Code.CONFLICT
    assert lab.dump() == before


def test_subnet_in_use_is_refused_with_its_route_named(lab: Lab) -> None:
    lab.place.sh("ip route add 10.0.0.0/8 dev uplink")
    before = lab.dump()
    with pytest.raises(BangerError, match=r"10\.0\.0\.0/8 through uplink"):
        lab.reconcile(ALPHA)
    assert lab.dump() == before


@pytest.mark.timeout(180)
def test_two_hundred_attaches_and_detaches_leave_nothing(lab: Lab) -> None:
    before = lab.dump()
    published = spec("cccccccccccc", "10.77.0.4", allow=OUTSIDE, publish="0.0.0.0:8080:80")
    for cycle in range(200):
        lab.reconcile(ALPHA, published) if cycle % 2 else lab.reconcile(published)
        lab.reconcile(ALPHA) if cycle % 4 else lab.reconcile()
    lab.reconcile()
    assert lab.dump() == before


def test_tap_opens_for_its_owner_without_privilege_and_for_nobody_else(lab: Lab) -> None:
    owner = 65534
    desired = replace(NOBODY, owner=owner).with_guests((ALPHA,))
    lab.place.run(lambda: lab.host.reconcile(desired))
    _join_as(owner, lab)
    with pytest.raises(subprocess.SubprocessError):
        _join_as(owner - 1, lab)


def _join_as(uid: int, lab: Lab) -> None:
    """Join the tap in a child process of ``uid``, by a descriptor opened for it."""
    fd = lab.place.run(open_tun)
    try:
        subprocess.run(
            ["true"], user=uid, preexec_fn=lambda: join_tap(fd, ALPHA.tap), check=True, timeout=20
        )
    finally:
        os.close(fd)


def test_without_privilege_the_error_says_what_to_do(lab: Lab, tmp_path: Path) -> None:
    script = (
        "from pathlib import Path\n"
        "from services.nat.kernel.sysctl import IpForward\n"
        "from services.nat.kernel.host import HostNetwork\n"
        "from shared.errors import BangerError\n"
        "try: HostNetwork(IpForward(Path('note'))).observe('br-banger')\n"
        "except BangerError as error: print(error.code.value, error.hint)\n"
    )
    without = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-c", script)
    done = lab.place.run(
        lambda: subprocess.run(without, capture_output=True, text=True, timeout=20, check=True)
    )
    assert done.stdout.startswith("denied run it with CAP_NET_ADMIN")


VM = "aaaaaaaaaaaa"


@pytest.fixture
def stack(lab: Lab) -> Iterator[Stack]:
    with made_services(lab) as made:
        yield made


def taps(stack: Stack) -> list[str]:
    return [str(tap) for tap in stack.call("nat", "nat.status")["taps"]]


def reserve(stack: Stack) -> None:
    stack.reserve(VM, "alpha", network="bridge", subnet="10.77.0.0/24", nat=True)


def test_attach_answers_when_the_tap_is_there_and_again_the_same(lab: Lab, stack: Stack) -> None:
    reserve(stack)
    joined = stack.call("nat", "nat.attach", id=VM)
    assert joined == {
        "tap": f"bgr{VM}",
        "mac": mac_address(VM),
        "address": "10.77.0.2",
        "prefix": 24,
        "gateway": GATEWAY,
        "address6": "",
    }
    assert taps(stack) == [f"bgr{VM}"]
    assert stack.call("nat", "nat.attach", id=VM) == joined
    assert fetch(lab.boot(spec(VM, "10.77.0.2", nat=True)), OUTSIDE) == UPLINK


def test_network_goes_with_the_vm_and_nothing_is_left(lab: Lab, stack: Stack) -> None:
    before = lab.dump()
    reserve(stack)
    stack.call("store", "vm.update", id=VM, state="starting")
    stack.call("nat", "nat.attach", id=VM)
    stack.call("store", "vm.update", id=VM, state="stopped")
    eventually(lambda: not taps(stack))
    eventually(lambda: lab.dump() == before)


def test_vm_deleted_while_nat_was_dead_leaves_nothing(lab: Lab, stack: Stack) -> None:
    before = lab.dump()
    reserve(stack)
    stack.call("store", "vm.update", id=VM, state="running")
    stack.call("nat", "nat.attach", id=VM)
    stack.kill("nat")
    assert f"bgr{VM}" in lab.dump()
    stack.call("store", "vm.remove", id=VM)
    stack.start("nat", lab.place.run)
    eventually(lambda: lab.dump() == before)


def test_rules_flushed_by_another_program_are_back_with_the_next_change(
    lab: Lab, stack: Stack
) -> None:
    reserve(stack)
    stack.call("nat", "nat.attach", id=VM)
    before = lab.dump()
    lab.place.sh("nft flush ruleset")
    want(stack.call, VM, nat=False)
    eventually(lambda: "table inet banger" in lab.dump())
    want(stack.call, VM, nat=True)
    eventually(lambda: lab.dump() == before)


def test_attach_of_an_unknown_vm_is_not_found(stack: Stack) -> None:
    with pytest.raises(BangerError) as caught:
        stack.call("nat", "nat.attach", id="ffffffffffff")
    assert caught.value.code is Code.NOT_FOUND


def test_subnet_clash_is_told_to_who_attaches_and_in_the_status(lab: Lab, stack: Stack) -> None:
    lab.place.sh("ip route add 10.0.0.0/8 dev uplink")
    reserve(stack)
    with pytest.raises(BangerError, match=r"clashes with the route 10\.0\.0\.0/8") as caught:
        stack.call("nat", "nat.attach", id=VM)
    assert caught.value.code is Code.CONFLICT
    problem = stack.call("nat", "nat.status")["problem"]
    assert "10.0.0.0/8" in problem
    assert "set another bridge subnet" in problem


def test_in_user_mode_nat_touches_nothing_and_says_so(lab: Lab) -> None:
    before = lab.dump()
    with new_stack() as stack:
        for service in ("broker", "store"):
            stack.start(service)
        stack.start("nat", lab.place.run)
        stack.reserve(VM, "alpha")
        stack.call("store", "vm.update", id=VM, state="running")
        assert not stack.call("nat", "nat.status")["enabled"]
        with pytest.raises(BangerError, match="network mode is user"):
            stack.call("nat", "nat.attach", id=VM)
    assert lab.dump() == before
