"""Ports of the host that lead to VMs, and egress, by the command and on the bus.

A scripted QEMU really listens where it is told to forward from, so a port that leads to a guest is
one that can be connected to.
"""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from services.vm_supervisor.network.host_ports import bind, holder_of
from shared.contract.messages.vm import Protocol
from shared.errors import BangerError, Code
from shared.vm import files
from tests.integration.guests import NOTHING, SMALL, Guests, finals, kill
from tests.integration.peer import error_of
from tests.loopback import OWN_ADDRESS
from tests.waiting import eventually

HOST = OWN_ADDRESS
GUEST_PORT = 20_000


def port(host: int, guest: int = 80, protocol: Protocol = "tcp") -> dict[str, Any]:
    return {
        "host_port": host,
        "guest_port": guest,
        "host_address": HOST,
        "protocol": protocol,
    }


def is_free(number: int, protocol: Protocol = "tcp", host: str = HOST) -> bool:
    try:
        bind(protocol, host, number).close()
    except BangerError:
        return False
    return True


def leads_somewhere(number: int) -> bool:
    try:
        socket.create_connection((HOST, number), 5).close()
    except OSError:
        return False
    return True


def replace_supervisor(guests: Guests, name: str) -> None:
    """Returns when the next one has taken over: asking for a port sooner could cost it the port."""
    log = guests.home.paths.vm_state(guests.row(name)["id"]) / files.SUPERVISOR_LOG
    before = log.read_text().count("took over the VMM")
    kill(supervisor := guests.supervisor(name))
    eventually(lambda: guests.supervisor(name) not in (0, supervisor))
    eventually(lambda: log.read_text().count("took over the VMM") > before)


def test_a_port_leads_to_the_guest_from_its_start_to_its_end(guests: Guests) -> None:
    guests.create("web", publish=[port(8001), port(8002, 53, "udp")], start=False)
    assert is_free(8001)
    guests.call("vm.start", ref="web")
    assert leads_somewhere(8001)
    assert not is_free(8002, "udp")
    guests.call("vm.stop", ref="web")
    assert is_free(8001)
    assert is_free(8002, "udp")
    assert guests.row("web")["publish"] == [port(8001), port(8002, 53, "udp")]
    guests.call("vm.delete", ref="web")


def test_it_is_published_and_taken_away_while_the_guest_runs(guests: Guests) -> None:
    guests.create("web")
    spec = f"{HOST}:8001:80"
    status, out, err = guests.banger("vm", "publish", "web", spec, f"{HOST}:8002:53/udp")
    assert (status, err) == (0, "")
    assert [line.split() for line in out.splitlines()[1:]] == [
        ["web", f"{HOST}:8001", "tcp/80"],
        ["web", f"{HOST}:8002", "udp/53"],
    ]
    assert leads_somewhere(8001)
    assert guests.banger("vm", "publish", "web", spec)[0] == 0  # again: nothing to do
    _, ports, _ = guests.banger("vm", "ports", "web", "-o", "name")
    assert ports.splitlines()[-2:] == [f"{HOST}:8001", f"{HOST}:8002"]
    assert guests.banger("vm", "unpublish", "web", "8001")[0] == 0
    assert is_free(8001)
    assert guests.banger("vm", "unpublish", "web", "8001")[0] == 3
    assert guests.banger("vm", "unpublish", "web", "--all", "-o", "json")[1].strip() == "[]"
    assert is_free(8002, "udp")
    guests.call("vm.delete", ref="web")


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_port_that_is_taken_is_named_with_its_holder_and_nothing_changes(
    guests: Guests, protocol: Protocol
) -> None:
    guests.create("web", publish=[port(8001)])
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind((HOST, 8003))
        if protocol == "tcp":
            holder.listen()
        wanted = [port(8002, protocol=protocol), port(8003, protocol=protocol)]
        error = error_of(lambda: guests.call("vm.publish", ref="web", publish=wanted))
    assert error.code is Code.CONFLICT
    assert f"{protocol} port 8003 of {HOST} is taken by" in error.message
    assert f"(pid {os.getpid()})" in error.message
    assert guests.row("web")["publish"] == [port(8001)]
    assert is_free(8002, protocol)
    assert leads_somewhere(8001)
    guests.call("vm.delete", ref="web")


def test_a_start_that_does_not_get_its_port_leaves_nothing(guests: Guests) -> None:
    with socket.create_server((HOST, 8003)):
        error = error_of(lambda: guests.create("web", publish=[port(8002), port(8003)]))
    assert error.code is Code.CONFLICT
    assert f"(pid {os.getpid()})" in error.message
    assert guests.leftovers() == NOTHING
    assert is_free(8002)


def test_a_start_without_its_port_leaves_the_vm_as_it_was(guests: Guests) -> None:
    guests.create("web", publish=[port(8003)], start=False)
    with socket.create_server((HOST, 8003)):
        error = error_of(lambda: guests.call("vm.start", ref="web"))
    assert (error.code, guests.state("web")) == (Code.CONFLICT, "created")
    guests.call("vm.start", ref="web")
    assert leads_somewhere(8003)
    guests.call("vm.delete", ref="web")


def test_a_port_that_another_vm_publishes_is_refused_by_its_name(guests: Guests) -> None:
    guests.create("web", publish=[port(8001)], start=False)
    guests.create("db", start=False)
    everywhere = {**port(8001), "host_address": "0.0.0.0"}
    refused: list[Callable[[], object]] = [
        partial(guests.create, "other", publish=[everywhere], start=False),
        partial(guests.call, "vm.publish", ref="db", publish=[everywhere]),
        partial(guests.call, "vm.publish", ref="web", publish=[port(8001, 81)]),
    ]
    for call in refused:
        error = error_of(call)
        assert (error.code, error.details["vm"]) == (Code.CONFLICT, "web")
    guests.delete_all()


def test_a_machine_that_does_not_answer_holds_up_nobody_else(guests: Guests) -> None:
    guests.create("stuck")
    guests.create("web", start=False)
    os.kill(supervisor := guests.supervisor("stuck"), signal.SIGSTOP)
    try:
        with guests.peer() as peer:
            body = {"ref": "stuck", "publish": [port(8001)]}
            asked = peer.ask("api", "vm.publish", body, seconds=30)
            guests.call("vm.publish", ref="web", publish=[port(8002)])
            assert guests.row("web")["publish"] == [port(8002)]
            guests.call("vm.publish", ref="web", publish=[port(8001)])
            os.kill(supervisor, signal.SIGCONT)
            error = error_of(lambda: peer.final(asked))
    finally:
        os.kill(supervisor, signal.SIGCONT)
    assert (error.code, error.details["vm"]) == (Code.CONFLICT, "web")
    assert is_free(8001)
    guests.delete_all()


def test_of_creations_at_once_one_gets_the_port(guests: Guests) -> None:
    body = {**SMALL, "start": False, "publish": [port(8001)]}
    with guests.peer() as peer:
        asked = [peer.ask("api", "vm.create", body) for _ in range(5)]
        answers = finals(peer, asked).values()
    errors = [answer for answer in answers if isinstance(answer, BangerError)]
    assert [error.code for error in errors] == [Code.CONFLICT] * 4
    guests.delete_all()


def test_ports_survive_their_supervisor_and_none_is_doubled(guests: Guests) -> None:
    guests.create("web", publish=[port(8001), port(8002, 53, "udp")])
    replace_supervisor(guests, "web")
    assert leads_somewhere(8001)
    assert not is_free(8002, "udp")
    guests.call("vm.unpublish", ref="web", ports=["8001", "8002/udp"])
    assert is_free(8001)
    assert is_free(8002, "udp")
    guests.call("vm.delete", ref="web")


def test_a_port_that_was_lost_meanwhile_costs_no_vm(guests: Guests) -> None:
    guests.create("web", publish=[port(8002, 53, "udp")])
    vmm, supervisor = guests.vmms("web"), guests.supervisor("web")
    log = guests.home.paths.vm_state(guests.row("web")["id"]) / files.SUPERVISOR_LOG
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taker:
        with stopped(guests.stack.pid("api")):  # it would start the next one
            kill(supervisor)
            eventually(lambda: has_bound(taker, 8002))
        eventually(lambda: guests.supervisor("web") not in (0, supervisor))
        eventually(lambda: "not published any more" in log.read_text())
        assert (guests.state("web"), guests.vmms("web")) == ("running", vmm)
    guests.call("vm.delete", ref="web")


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def has_bound(taker: socket.socket, number: int) -> bool:
    """Whether another program has the port now, as soon as it is free."""
    try:
        taker.bind((HOST, number))
    except OSError:
        return False
    return True


def test_ports_lead_to_the_guest_again_after_it_rebooted_itself(guests: Guests) -> None:
    guests.create("web")
    guests.call("vm.publish", ref="web", publish=[port(8001)])
    first = guests.vmms("web")
    guests.type("web", "reboot")
    eventually(lambda: guests.vmms("web") not in ([], first))
    eventually(lambda: leads_somewhere(8001))
    eventually(lambda: guests.state("web") == "running")
    guests.call("vm.delete", ref="web")


def test_a_udp_port_of_the_guest_appears_and_goes(guests: Guests) -> None:
    guests.create("web")
    address = guests.row("web")["address"]
    name = f"udp/{GUEST_PORT}"
    guests.type("web", f"bind-udp {GUEST_PORT}")
    eventually(lambda: guests.show("web")["ports"].get(name) == GUEST_PORT)
    replace_supervisor(guests, "web")
    eventually(lambda: holder_of("udp", address, GUEST_PORT))  # which takes nothing to find out
    assert not is_free(GUEST_PORT, "udp", address)
    guests.type("web", f"unbind-udp {GUEST_PORT}")
    eventually(lambda: name not in guests.show("web")["ports"])
    assert is_free(GUEST_PORT, "udp", address)
    guests.call("vm.delete", ref="web")


def test_an_egress_list_is_refused_before_there_is_a_row(guests: Guests) -> None:
    words = ("vm", "create", "--name", "web", "--no-start", "--egress")
    status, _, err = guests.banger(*words, "allow=example.org")
    assert status == 2
    assert "does not filter by name" in err
    assert "bridge mode" in err
    assert guests.leftovers() == NOTHING


def test_egress_is_one_policy_whichever_way_it_is_set(guests: Guests) -> None:
    guests.create("web")
    for words, nat in (
        (("--egress", "nat"), True),
        (("--no-nat",), False),
        (("--nat",), True),
        (("--egress", "none"), False),
    ):
        assert guests.banger("vm", "set", "web", *words)[0] == 0
        assert guests.row("web")["nat"] is nat
    assert guests.banger("vm", "set", "web", "--egress", "allow=example.org")[0] == 2
    assert (guests.row("web")["nat"], guests.row("web")["allow"]) == (False, [])
    guests.call("vm.delete", ref="web")
