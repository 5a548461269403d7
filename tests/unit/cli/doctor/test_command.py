"""``banger doctor`` as a command: its two forms, and its exit status."""

import json

import click
import pytest
from click.testing import CliRunner

from cli.doctor import run
from cli.doctor.command import doctor
from cli.doctor.finding import fail, ok, warn
from shared.vmm.info import Finding

FINE = [ok("kernel", "there"), warn("dns", "port taken", "set dns.port")]


def examined(
    monkeypatch: pytest.MonkeyPatch, findings: list[Finding], *args: str
) -> tuple[int, str, str]:
    """Exit status, stdout and stderr where the checks find this."""
    monkeypatch.setattr(run, "run_checks", lambda _: findings)
    done = CliRunner().invoke(click.Group(commands={"doctor": doctor}), ["doctor", *args],
                              standalone_mode=False)  # fmt: skip
    return done.return_value, done.stdout, done.stderr


def test_a_table_and_what_to_do_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    status, out, err = examined(monkeypatch, FINE)
    assert status == 0
    assert [line.split() for line in out.splitlines()] == [
        ["STATUS", "CHECK", "FOUND"],
        ["PASS", "kernel", "there"],
        ["WARN", "dns", "port", "taken"],
    ]
    assert err == "WARN dns: set dns.port\n"


def test_json_has_every_field(monkeypatch: pytest.MonkeyPatch) -> None:
    _, out, err = examined(monkeypatch, FINE, "-o", "json")
    assert json.loads(out)[1] == {
        "name": "dns",
        "status": "WARN",
        "found": "port taken",
        "hint": "set dns.port",
    }
    assert err == ""


def test_one_that_fails_is_the_exit_status(monkeypatch: pytest.MonkeyPatch) -> None:
    assert examined(monkeypatch, [*FINE, fail("vmm", "none")])[0] == 1
