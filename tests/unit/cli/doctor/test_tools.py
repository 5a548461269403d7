"""Which program is missing, and what to type for it here."""

import sys
from pathlib import Path

import pytest

from cli.doctor.tools import (
    INSTALL,
    Tool,
    check_tool,
    family_of,
    install_line,
    is_static,
    needed,
    version_line,
)
from shared.config import Config

MISSING = Tool("no-such-tool", "does nothing", {"debian": "nothing", "alpine": "nihil"})


@pytest.mark.parametrize(
    ("os_release", "family"),
    [
        ("ID=debian", "debian"),
        ('ID=ubuntu\nID_LIKE="debian"', "debian"),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"', "debian"),
        ("ID=fedora", "fedora"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"', "fedora"),
        ('ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"', "suse"),
        ("ID=arch", "arch"),
        ("# a remark\nID=alpine", "alpine"),
        ("ID=plan9", ""),
        ("", ""),
    ],
)
def test_the_family_is_found_by_id_and_likeness(os_release: str, family: str) -> None:
    assert family_of(os_release) == family


def test_a_missing_tool_fails_with_the_line_for_this_distribution() -> None:
    result = check_tool(MISSING, "debian")
    assert (result.status, result.hint) == ("FAIL", "install it: apt install nothing")
    assert check_tool(MISSING, "").hint == "install no-such-tool"


def test_a_tool_that_is_there_says_its_version() -> None:
    tool = Tool("sh", "is there", {"debian": "dash"}, ("-c", "echo sh 1.0; echo more"))
    assert (check_tool(tool, "debian").status, check_tool(tool, "debian").found) == (
        "PASS",
        "sh 1.0",
    )


def test_every_tool_has_a_package_in_every_family() -> None:
    for tool in needed(Config(network="bridge"), root=False):
        assert set(tool.packages) == set(INSTALL), tool.program


def test_packages_are_named_once() -> None:
    ssh = [tool for tool in needed(Config(), root=True) if tool.program.startswith("ssh")]
    assert len(ssh) == 2
    assert install_line(ssh, "arch") == "install it: pacman -S openssh"


def test_only_what_the_mode_and_the_user_need_is_looked_for() -> None:
    programs = {tool.program for tool in needed(Config(), root=True)}
    assert not {"nft", "newuidmap"} & programs
    assert "newuidmap" in {tool.program for tool in needed(Config(), root=False)}
    assert "nft" in {tool.program for tool in needed(Config(network="bridge"), root=True)}


def test_a_program_with_an_interpreter_is_not_static(tmp_path: Path) -> None:
    assert not is_static(Path(sys.executable))
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    assert not is_static(script)


def test_a_program_that_says_nothing_has_no_version() -> None:
    assert version_line(["true"]) == ""
    assert version_line(["/no/such/program"]) == ""


def test_what_only_builds_need_is_missed_but_no_failure() -> None:
    absent = Tool("no-such-tool", "builds nothing", {"debian": "nothing"}, builds_only=True)
    assert check_tool(absent, "debian").status == "WARN"
    assert check_tool(MISSING, "debian").status == "FAIL"
