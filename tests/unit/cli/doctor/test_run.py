"""All checks at once, whatever becomes of one of them."""

import pytest

from cli.doctor import host
from cli.doctor.run import run_checks
from shared.vmm.info import Finding
from tests.unit.cli.conftest import Cli


def found(cli: Cli) -> dict[str, Finding]:
    return {finding.name: finding for finding in run_checks(cli.paths)}


def test_a_check_that_goes_wrong_is_a_failure_and_the_others_are_made(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def isolation(*_: object) -> list[Finding]:
        raise OSError("no cgroups here")

    monkeypatch.setattr(host, "isolation", isolation)
    findings = found(cli)
    assert findings["isolation"].status == "FAIL"
    assert findings["isolation"].found == "the check failed: OSError: no cgroups here"
    assert findings["default sizes"].status == "PASS"


def test_a_configuration_that_is_wrong_is_told_and_the_rest_checked(cli: Cli) -> None:
    cli.paths.config_file.parent.mkdir(parents=True)
    cli.paths.config_file.write_text("this is not TOML")
    findings = found(cli)
    assert findings["configuration"].status == "FAIL"
    assert findings["architecture"].status == "PASS"


def test_nothing_is_made_by_looking(cli: Cli) -> None:
    before = sorted(cli.root.rglob("*"))
    found(cli)
    assert sorted(cli.root.rglob("*")) == before
