"""The command against real services that it starts itself."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, update
from sqlalchemy.orm import Session

from services.store.tables.mapping import spec_column
from services.store.tables.models import VmRow
from shared.bus.envelope import MAX_MESSAGE
from shared.contract.messages.vm import LONGEST_REASON
from shared.errors import BangerError
from tests.home import Home
from tests.integration.guests import SIZES, Guests
from tests.integration.peer import Peer
from tests.unit.services.store.requests import reservation
from tests.waiting import eventually

PATIENCE = 50
SERVICES = ["launcher", "broker", "store", "images", "workspaces", "api", "nat", "dns"]


class Machine:
    """A home in which ``banger`` is run."""

    def __init__(self, home: Home) -> None:
        self.home = home
        # Port 0: the kernel chooses, so that runs do not take each other's.
        home.configure("[dns]\nport = 0\n")

    def begin(self, *args: str) -> "subprocess.Popen[str]":
        pipe = subprocess.PIPE
        argv = [sys.executable, "-m", "cli", *args]
        environment = self.home.environment
        return subprocess.Popen(argv, env=environment, cwd="/", text=True, stdout=pipe, stderr=pipe)

    def banger(self, *args: str) -> tuple[int, str, str]:
        process = self.begin(*args)
        out, err = process.communicate(timeout=PATIENCE)
        return process.returncode, out, err

    def services(self) -> dict[str, dict[str, object]]:
        """What ``daemon status`` says, by name."""
        _, out, _ = self.banger("daemon", "status", "-o", "json")
        return {service["name"]: service for service in json.loads(out)["services"]}


def alive(pid: object) -> bool:
    """Whether the process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def machine(home: Home) -> Iterator[Machine]:
    made = Machine(home)
    yield made
    made.banger("daemon", "stop")


def test_the_first_command_starts_the_services_and_stop_ends_them(machine: Machine) -> None:
    machine.home.environment["CI_TOKEN"] = "of the first command"
    assert machine.banger("vm", "list", "-o", "json") == (0, "[]\n", "")
    services = machine.services()
    assert [name for name, each in services.items() if each["state"] == "running"] == SERVICES
    for service in services.values():
        assert b"CI_TOKEN" not in Path(f"/proc/{service['pid']}/environ").read_bytes()
    assert machine.banger("daemon", "stop") == (0, "", "The services are stopped.\n")
    for service in services.values():
        assert not alive(service["pid"])


def test_two_first_commands_at_once_start_one_launcher(machine: Machine) -> None:
    both = [machine.begin("vm", "list", "-q") for _ in range(2)]
    for process in both:
        assert process.communicate(timeout=PATIENCE) == ("", "")
        assert process.returncode == 0
    log = machine.home.paths.log_file("launcher").read_text()
    assert log.count('"message": "started"') == 1


def test_restart_replaces_every_service(machine: Machine) -> None:
    machine.banger("daemon", "start")
    before = machine.services()
    assert machine.banger("daemon", "restart")[0] == 0
    after = machine.services()
    assert [name for name in SERVICES if after[name]["pid"] == before[name]["pid"]] == []


def test_a_nat_that_root_is_to_run_is_neither_started_nor_waited_for(machine: Machine) -> None:
    machine.home.configure("[dns]\nport = 0\n[nat]\nexternal = true\n")
    status, _, err = machine.banger("vm", "list")
    assert status == 0, err
    assert set(machine.services()) == set(SERVICES) - {"nat"}
    _, out, _ = machine.banger("doctor", "-o", "json")
    (found,) = [line for line in json.loads(out) if line["name"] == "nat"]
    assert found["status"] == "FAIL"
    assert f"--user {os.geteuid()} --run {machine.home.paths.run}" in found["hint"]


def test_services_that_cannot_start_are_named_with_their_last_words(machine: Machine) -> None:
    machine.home.configure('network = "carrier pigeon"\n')
    status, out, err = machine.banger("vm", "list")
    assert (status, out) == (6, "")
    assert err.startswith("error: the service launcher did not start: ")
    assert "config.toml" in err
    assert "launcher.err" in err


def test_a_request_can_be_followed_through_the_logs(machine: Machine) -> None:
    status, _, err = machine.banger("vm", "show", "nope", "-o", "json")
    assert (status, json.loads(err)["error"]["code"]) == (3, "not_found")
    _, out, _ = machine.banger("daemon", "logs", "api", "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    request = next(line["request"] for line in lines if line.get("verb") == "vm.show")
    status, out, _ = machine.banger("daemon", "logs", "--request", request[:10])
    assert status == 0
    assert "vm.show" in out


def test_doctor_on_a_fresh_machine_starts_and_creates_nothing(machine: Machine) -> None:
    before = sorted(machine.home.root.rglob("*"))
    _, out, _ = machine.banger("doctor", "-o", "json")
    found = {result["name"]: result for result in json.loads(out)}
    assert found["store"]["status"] == found["services"]["status"] == "PASS"
    assert found["run directory"]["status"] == "PASS"
    assert found["image"]["status"] == "WARN"
    assert sorted(machine.home.root.rglob("*")) == before


def test_lists_of_more_than_a_message_reach_people_and_replicas(machine: Machine) -> None:
    machine.banger("daemon", "start")
    count, reason = 2500, "\N{SNOWMAN}" * LONGEST_REASON
    spec = spec_column(reservation("x"))
    rows = [
        VmRow(
            id=f"{number:012x}",
            name=f"vm-{number}",
            state="running",
            reason=reason,
            network="user",
            address=f"127.77.{number // 250}.{number % 250 + 2}",
            created_at="2026-11-28T00:00:00Z",
            spec=spec,
        )
        for number in range(count)
    ]
    database = create_engine(f"sqlite:///{machine.home.paths.database}")
    with Session(database) as session, session.begin():
        session.add_all(rows)
    os.kill(int(str(machine.services()["dns"]["pid"])), signal.SIGKILL)  # the next one has no rows
    with Peer(machine.home.paths.broker_socket, patience=PATIENCE) as peer:
        eventually(lambda: names_in_dns(peer) == count)
    with Session(database) as session, session.begin():
        session.execute(update(VmRow).values(state="stopped"))
    status, out, err = machine.banger("vm", "list", "-o", "json")
    assert (status, err) == (0, "")
    assert len(out.encode()) > MAX_MESSAGE
    assert [each["id"] for each in json.loads(out)] == [f"{n:012x}" for n in range(count)]
    database.dispose()


def names_in_dns(peer: Peer) -> int:
    """How many names dns serves; 0 while it is being started again."""
    try:
        return int(peer.call("dns", "dns.status")["names"])
    except BangerError:
        return 0


# -- with scripted guests -------------------------------------------------------------------


@pytest.fixture
def web(guests: Guests) -> Iterator[Guests]:
    """A stack with one VM, ``web``, that runs; it is deleted again."""
    assert guests.banger("vm", "create", "--name", "web", *SIZES)[0] == 0
    yield guests
    guests.delete_all()


def test_a_paused_vm_takes_no_command_until_it_is_resumed(web: Guests) -> None:
    assert web.banger("vm", "pause", "web")[:2] == (0, "web\n")
    assert web.banger("vm", "ps", "-q")[:2] == (0, "")
    assert web.banger("vm", "exec", "web", "--", "true")[0] == 5
    assert web.banger("vm", "resume", "web")[:2] == (0, "web\n")
    assert web.banger("vm", "exec", "web", "--", "echo", "here")[:2] == (0, "here\n")
    assert web.banger("vm", "ps", "-o", "name")[:2] == (0, "web\n")


def test_a_command_counts_as_use(web: Guests) -> None:
    before = web.row("web")["touched_at"]
    web.banger("vm", "exec", "web", "--", "true")
    eventually(lambda: web.row("web")["touched_at"] > before)


def test_sizes_are_set_on_a_stopped_vm_only(web: Guests) -> None:
    status, _, err = web.banger("vm", "set", "web", "--memory", "256M")
    assert (status, "banger vm stop web" in err) == (4, True)
    assert web.banger("vm", "stop", "web")[0] == 0
    assert web.banger("vm", "set", "web", "--memory", "256M", "--vcpu", "2")[0] == 0
    row = web.row("web")
    assert (row["memory_mib"], row["vcpu"]) == (256, 2)


def test_a_restart_gives_another_boot(web: Guests) -> None:
    before = web.show("web")["boot_id"]
    assert web.banger("vm", "restart", "--timeout", "5", "web")[:2] == (0, "web\n")
    after = web.show("web")
    assert after["vm"]["state"] == "running"
    assert after["boot_id"] != before


def test_prune_deletes_what_does_not_run_and_nothing_else(web: Guests) -> None:
    web.banger("vm", "create", "--name", "old", "--no-start", *SIZES)
    assert web.banger("vm", "prune", "-f")[:2] == (0, "old\n")
    assert web.banger("vm", "list", "-o", "name")[:2] == (0, "web\n")


def test_what_a_vm_uses_is_raw_numbers_in_json(web: Guests) -> None:
    status, out, _ = web.banger("vm", "stats", "-o", "json")
    (sample,) = json.loads(out)
    assert (status, sample["name"], sample["memory_bytes"]) == (0, "web", 128 << 20)
    assert sample["cpu_seconds"] >= 0
    assert sample["disk_allocated"] <= sample["disk_apparent"] == 128 << 20


def test_the_creation_is_an_operation_that_can_be_looked_up(web: Guests) -> None:
    status, out, _ = web.banger("ops", "list", "-o", "json")
    creation = next(each for each in json.loads(out) if each["verb"] == "vm.create")
    assert (status, creation["state"]) == (0, "done")
    status, out, _ = web.banger("ops", "show", creation["id"], "-o", "json")
    assert (status, json.loads(out)) == (0, creation)
    assert web.banger("ops", "show", "no-such-operation")[0] == 3


def test_a_command_out_of_time_gives_7_and_its_vm_goes(guests: Guests) -> None:
    argv = ("vm", "run", "--rm", "--timeout", "0.3", *SIZES, "--", "sleep", "600")
    status, _, err = guests.banger(*argv)
    assert status == 7, err
    assert "sleep was still running after 0.3 s" in err


def test_no_vm_is_taken_for_another_whose_id_is_its_name(web: Guests) -> None:
    web_id = web.row("web")["id"]
    for argv in (["create", "--no-start", "--name", web_id, *SIZES], ["rename", "web", web_id]):
        status, _, err = web.banger("vm", *argv)
        assert (status, "the form of an id" in err) == (2, True)
    # A database of an earlier version may have such a name.
    assert web.banger("vm", "create", "--no-start", "--name", "old", *SIZES)[0] == 0
    web.stack.call("store", "vm.update", id=web.row("old")["id"], name=web_id)
    assert web.banger("vm", "show", f"id={web_id}", "-o", "name")[:2] == (0, "web\n")
    assert web.banger("vm", "show", web_id, "-o", "name")[:2] == (0, f"{web_id}\n")
    assert web.banger("vm", "pause", "web", "nobody")[:2] == (3, "web\n")
    assert web.banger("vm", "delete", web_id)[:2] == (0, f"{web_id}\n")
    assert web.banger("vm", "list", "-o", "name")[:2] == (0, "web\n")
