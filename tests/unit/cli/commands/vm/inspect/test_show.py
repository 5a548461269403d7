"""``vm list`` and ``vm show``: data on stdout in three forms."""

import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from shared.errors import Code
from tests.unit.cli.commands.vm.workspace.answers import workspace
from tests.unit.cli.conftest import Cli, view
from tests.unit.cli.peer import Peer, refuse

Begin = Callable[..., Peer]
LISTING = {"vms": [view("web"), view("db", "ba9876543210", state="failed", reason="no space")]}


@pytest.fixture
def services(peer: Begin) -> Peer:
    return peer({"vm.list": lambda _: LISTING, "vm.show": lambda _: view("web")})


def test_the_table_has_a_row_for_each(cli: Cli, services: Peer) -> None:
    ran = cli("vm", "list")
    header, web, db = ran.out.splitlines()
    assert header.split() == "ID NAME STATE IMAGE IP VCPU MEM DISK WORKSPACE CREATED".split()
    assert web.split()[:7] == "0123456789ab web running debian-bookworm 127.77.0.2 2 2G".split()
    assert db.split()[2] == "failed"
    assert (ran.status, ran.err) == (0, "")


def test_workspaces_are_short_in_the_list_and_whole_in_the_details(cli: Cli, peer: Begin) -> None:
    long = "/srv/somewhere/far/below/project"
    placed = [workspace(host_path=f"{cli.root}/app"), workspace(guest_path="/x", host_path=long)]
    services = view("web", workspaces=placed)
    peer({"vm.list": lambda _: {"vms": [services]}, "vm.show": lambda _: services})
    assert "  /root/repo <- ~/app +1  " in cli("vm", "list").out
    placed.reverse()
    assert "  /x <- …where/far/below/project +1  " in cli("vm", "list").out
    out = cli("vm", "show", "web").out
    assert f"workspace  /x <- {long} at aaaaaaaaaaaa (main), /root/repo <- {cli.root}/app at" in out


def test_json_is_one_flat_object_per_vm(cli: Cli, services: Peer) -> None:
    web, db = json.loads(cli("vm", "ls", "-o", "json").out)
    assert (web["name"], web["memory_mib"], web["access"]["port"]) == ("web", 2048, 22)
    assert (db["reason"], db["access"]) == ("no space", None)


def test_names_and_ids_are_one_per_line(cli: Cli, services: Peer) -> None:
    assert cli("vm", "list", "-o", "name").out == "web\ndb\n"
    assert cli("vm", "list", "-q").out == "0123456789ab\nba9876543210\n"


def test_show_has_a_line_per_field(cli: Cli, services: Peer) -> None:
    out = cli("vm", "show", "web").out
    assert "network    user\negress     none\npublished  -\n" in out
    assert services.calls[-1] == ("vm.show", {"ref": "web"})


def test_egress_and_publications_are_shown_as_they_are_given(cli: Cli, peer: Begin) -> None:
    publish = [
        {"host_address": "127.0.0.1", "host_port": 8080, "guest_port": 80, "protocol": "tcp"},
        {"host_address": "0.0.0.0", "host_port": 5353, "guest_port": 53, "protocol": "udp"},
    ]
    web = view("web", allow=["example.org:443", "192.0.2.0/24"], publish=publish)
    peer({"vm.show": lambda _: web})
    out = cli("vm", "show", "web").out
    assert "egress     allow=example.org:443,192.0.2.0/24\n" in out
    assert "published  127.0.0.1:8080:80/tcp, 0.0.0.0:5353:53/udp\n" in out
    shown = json.loads(cli("vm", "show", "web", "-o", "json").out)
    assert (shown["allow"], shown["publish"]) == (web["vm"]["allow"], publish)


def test_an_error_is_two_lines_and_its_status(cli: Cli, peer: Begin) -> None:
    peer({"vm.show": refuse(Code.NOT_FOUND, "there is no VM 'x'", hint="look with vm list")})
    ran = cli("vm", "show", "x")
    assert ran.err == "error: there is no VM 'x'\nhint: look with vm list\n"
    assert (ran.status, ran.out) == (3, "")


def test_an_error_in_json_mode_is_one_object_on_stderr(cli: Cli, peer: Begin) -> None:
    peer({"vm.show": refuse(Code.AMBIGUOUS, "several", details={"candidates": ["a", "b"]})})
    ran = cli("vm", "show", "x", "-o", "json")
    error = json.loads(ran.err)["error"]
    assert (error["code"], error["details"]) == ("ambiguous", {"candidates": ["a", "b"]})
    assert (ran.status, ran.out) == (3, "")


def test_services_of_another_build_are_refused_with_what_to_do(cli: Cli, peer: Begin) -> None:
    peer({"vm.list": lambda _: LISTING}, build="0.0.1")
    ran = cli("vm", "list")
    assert "version 0.0.1" in ran.err
    assert "banger daemon restart" in ran.err
    assert ran.status == 1


def test_a_run_directory_open_to_others_is_refused(cli: Cli) -> None:
    cli.run_dir.mkdir(mode=0o755)
    ran = cli("vm", "list")
    assert "chmod 700" in ran.err
    assert ran.status == 1


def test_a_closed_pipe_is_no_error(cli: Cli, peer: Begin) -> None:
    peer({"vm.list": lambda _: {"vms": [view(f"vm-{n}") for n in range(2000)]}})
    process = cli.popen("vm", "list", "-o", "json", stdout=-1, stderr=-1)
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    assert process.stderr.read() == b""
    process.wait()
    process.stderr.close()


def test_a_reference_that_is_no_text_is_refused(cli: Cli, peer: Begin) -> None:
    peer({})
    ran = cli("vm", "show", os.fsdecode(b"\xff"))
    assert ran.status == 2
    assert ran.err == "error: '\\udcff' is not UTF-8\n"


def test_ps_lists_what_runs(cli: Cli, peer: Begin) -> None:
    services = peer({"vm.list": lambda _: {"vms": [view("web")]}})
    assert cli("vm", "ps", "-o", "name").out == "web\n"
    assert services.calls[-1] == ("vm.list", {"filters": ["state=running"]})


def test_filters_are_the_services_to_judge(cli: Cli, peer: Begin) -> None:
    services = peer({"vm.list": lambda _: {"vms": []}})
    assert cli("vm", "list", "-f", "label=team=web", "--filter", "name=ci-*").out.count("\n") == 1
    assert services.calls[-1] == ("vm.list", {"filters": ["label=team=web", "name=ci-*"]})


def test_labels_are_shown(cli: Cli, peer: Begin) -> None:
    peer({"vm.show": lambda _: view("web", labels={"team": "web", "tier": ""})})
    assert "labels     team=web, tier=\n" in cli("vm", "show", "web").out


def test_a_list_of_several_pages_is_shown_whole(cli: Cli, peer: Begin) -> None:
    pages = {
        "": {"vms": [view("web")], "next": "1"},
        "1": {"vms": [view("db", "1" * 12)], "next": "2"},
        "2": {"vms": [], "next": ""},
    }
    services = peer({"vm.list": lambda body: pages[body.get("after", "")]})
    assert cli("vm", "list", "--filter", "name=*", "-o", "name").out == "web\ndb\n"
    assert services.calls[-1] == ("vm.list", {"filters": ["name=*"], "after": "2"})


def test_a_page_that_leads_to_itself_ends_the_command(cli: Cli, peer: Begin) -> None:
    peer({"vm.list": lambda _: {"vms": [], "next": "1"}})
    ran = cli("vm", "list")
    assert (ran.status, "leads to itself" in ran.err) == (1, True)


def test_a_copy_says_of_what_and_how_many_snapshots_go_with_it(cli: Cli, peer: Begin) -> None:
    copy = view("try", origin="snapshot web/clean", state="suspended") | {"snapshots": 2}
    peer({"vm.show": lambda _: copy})
    rows = [line.split(maxsplit=1) for line in cli("vm", "show", "try").out.splitlines()]
    shown = {row[0]: row[1] for row in rows}
    assert (shown["origin"], shown["snapshots"]) == ("snapshot web/clean", "2")
    assert shown["state"] == "suspended"


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        ({}, "template   -\n"),
        ({"template": "3f2a"}, "template   3f2a\n"),
        ({"template": "3f2a", "from_pool": True}, "template   3f2a (from the pool)\n"),
    ],
)
def test_what_a_vm_was_made_of_is_shown(
    cli: Cli, peer: Begin, row: dict[str, Any], shown: str
) -> None:
    peer({"vm.show": lambda _: view("web", **row)})
    assert shown in cli("vm", "show", "web").out


@pytest.mark.parametrize(
    ("own", "limit", "shown"),
    [
        (None, 0.0, "idle       -\n"),
        (None, 1800.0, "idle       30m by config.toml\n"),
        (90.0, 90.0, "idle       1m 30s\n"),
        (0.0, 0.0, "idle       never\n"),
    ],
)
def test_the_limit_of_use_is_shown_and_whose_it_is(
    cli: Cli, peer: Begin, own: float | None, limit: float, shown: str
) -> None:
    peer({"vm.show": lambda _: view("web", idle_suspend=own) | {"idle_limit": limit}})
    assert shown in cli("vm", "show", "web").out
