"""The legacy tables, from a script in the place of iptables-legacy."""

from pathlib import Path

import pytest

from services.nat.kernel import iptables, system_programs
from services.nat.ruleset.firewalls import DockerRules, Firewalls
from shared.errors import BangerError, Code


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in the place of /proc/net/ip_tables_names, and a directory of scripts."""
    file = tmp_path / "ip_tables_names"
    monkeypatch.setattr(iptables, "_TABLES", file)
    monkeypatch.setattr(system_programs, "SYSTEM_PATH", str(tmp_path))
    return file


def script(directory: Path, name: str, text: str) -> None:
    program = directory / name
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)


def test_nothing_is_run_where_there_is_no_such_table(tables: Path) -> None:
    """Listing a table loads its module and creates it."""
    script(tables.parent, "iptables-legacy", f"touch {tables.parent}/run")
    assert iptables.firewalls("br0") == Firewalls()
    tables.write_text("nat\nmangle\n")
    assert iptables.firewalls("br0") == Firewalls()
    assert not (tables.parent / "run").exists()


def test_policy_of_the_table_is_an_obstacle(tables: Path) -> None:
    tables.write_text("filter\n")
    assert iptables.firewalls("br0") == Firewalls()  # the program is not installed
    script(tables.parent, "iptables-legacy", "echo '-P FORWARD DROP'")
    (obstacle,) = iptables.firewalls("br0").obstacles
    assert "iptables-legacy -I FORWARD -i br0 -j ACCEPT" in obstacle


def test_refusal_names_the_program_and_its_message(tables: Path) -> None:
    script(tables.parent, "iptables-legacy-restore", "cat > /dev/null; echo no >&2; exit 4")
    with pytest.raises(BangerError, match="iptables-legacy-restore refused: no") as caught:
        iptables.close_docker(DockerRules("legacy"))
    assert caught.value.code is Code.UNAVAILABLE
