"""The installation of tools, in sessions with this machine as the guest. Scripts play mise and
curl: there is no network here, so that the real installer has never run in a test."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from services.workspaces.tools.bootstrap import LOG, Bootstrap, run
from shared.contract.messages.workspace import ToolWish
from shared.contract.ssh_access import Access
from tests.scripted.ssh_sessions import Guest, Server
from tests.waiting import eventually

MISE = """#!/bin/sh
echo "$PWD $*" >>"$HOME/asked"
echo "mise says $2"
case $2 in go@*) exit 1 ;; esac
[ ! -p "$HOME/gate" ] || read -r _ <"$HOME/gate"
"""
INSTALLER = """#!/bin/sh
mkdir -p "${MISE_INSTALL_PATH%/*}"
cp "$HOME/mise" "$MISE_INSTALL_PATH"
"""
CURL = """#!/bin/sh
for word; do [ "$before" != -o ] || to=$word; before=$word; done
[ "$before" = https://mise.run ] || exit 3
cp "$HOME/installer" "$to"
"""
NODE = ToolWish(name="node", version="20", source=".nvmrc")
GO = ToolWish(name="go", version="prefix:1.19", source="go.mod")
JQ = ToolWish(name="jq", version="1.6", source="mise.toml")


class Machine:
    """A guest whose root has ``directory`` as the home."""

    def __init__(self, directory: Path) -> None:
        self.home = directory
        self.log = directory / "log/bootstrap.log"
        self.workspace = directory / "repo"
        self.said: list[str] = []
        (self.workspace / ".git").mkdir(parents=True)
        (directory / "bin").mkdir()
        path = f"{directory}/bin:/usr/bin:/bin"
        self.guest = Guest(environment={**os.environ, "HOME": str(directory), "PATH": path})

    def script(self, name: str, text: str) -> None:
        (self.home / name).write_text(text)
        (self.home / name).chmod(0o755)

    def run(self, *wishes: ToolWish, wait: bool = True) -> Bootstrap:
        with TemporaryDirectory(prefix="bngr") as directory:
            access = Access("h", 22, "/k", "/h", "id", f"{directory}/control")
            server = Server(access.control, self.guest)
            try:
                return run(
                    access, wishes, str(self.workspace), wait=wait,
                    progress=lambda stage, line: self.said.append(line), log=str(self.log),
                )  # fmt: skip
            finally:
                server.close()

    @property
    def asked(self) -> list[str]:
        asked = self.home / "asked"
        return asked.read_text().splitlines() if asked.exists() else []

    @property
    def tools(self) -> Path:
        return self.workspace / ".git/banger/tools"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    made.guest.close()


def test_without_a_wish_nothing_is_done(machine: Machine) -> None:
    assert machine.run() == Bootstrap()
    assert not machine.guest.asked.is_set()


def test_each_tool_is_installed_and_a_failure_stops_no_other(machine: Machine) -> None:
    machine.script("bin/mise", MISE)
    (machine.workspace / "mise.toml").touch()
    without_go = ["tools: finished, without go@prefix:1.19"]
    assert machine.run(JQ, GO, NODE) == Bootstrap(str(machine.log), without_go)
    assert machine.asked == [
        f"{machine.home} trust {machine.workspace}/mise.toml",
        f"{machine.workspace} install jq",
        "/ install go@prefix:1.19",
        "/ install node@20",
    ]
    assert machine.said == [
        "installing jq",
        "installing go@prefix:1.19",
        "go@prefix:1.19 could not be installed",
        "installing node@20",
        "finished, without go@prefix:1.19",
    ]
    log = machine.log.read_text()
    assert "mise says node@20\n" in log
    assert "go@prefix:1.19 could not be installed\n" in log


def test_tools_that_mise_does_not_find_by_itself_are_recorded(machine: Machine) -> None:
    machine.script("bin/mise", MISE)
    python = ToolWish(name="python", version="3.11", source=".python-version")
    machine.run(JQ, GO, NODE, python)
    assert machine.tools.read_text() == "node@20 python@3.11\n"
    machine.run(JQ)
    assert not machine.tools.exists()


def test_mise_is_installed_where_it_is_not(machine: Machine) -> None:
    machine.script("bin/curl", CURL)
    machine.script("installer", INSTALLER)
    machine.script("mise", MISE)
    machine.run(NODE)
    assert machine.said[0] == "installing mise"
    assert machine.said[-1] == "finished"
    machine.said.clear()
    machine.run(NODE)
    assert machine.said == ["installing node@20", "finished"]


@pytest.mark.parametrize("curl", ["exit 7", 'echo "exit 1" >"$HOME/installer"; ' + CURL])
def test_a_guest_that_cannot_have_mise_is_no_failure(machine: Machine, curl: str) -> None:
    machine.script("bin/curl", f"#!/bin/sh\n{curl}")
    notices = ["tools: mise could not be installed"]
    assert machine.run(NODE) == Bootstrap(str(machine.log), notices)
    assert machine.said == ["installing mise", "mise could not be installed"]
    assert not machine.tools.exists()


def test_in_the_background_it_outlives_the_session(machine: Machine) -> None:
    os.mkfifo(machine.home / "gate")
    machine.script("bin/mise", MISE)
    assert machine.run(NODE, wait=False) == Bootstrap(str(machine.log))
    with (machine.home / "gate").open("w") as gate:  # mise has begun, and the session is over
        assert not machine.tools.exists()
        gate.write("go\n")
    eventually(lambda: "finished" in machine.log.read_text())
    assert machine.tools.read_text() == "node@20\n"
    assert machine.said == []


def test_a_guest_that_is_gone_is_no_failure_of_the_prepare(machine: Machine) -> None:
    gone = Access("h", 22, "/k", "/h", "id", f"{machine.home}/no-control")
    begun = run(gone, [NODE], "/r", wait=False, progress=lambda stage, line: None)
    assert begun.log == ""
    assert begun.notices[0].startswith("the tools are not installed: ")


def test_a_guest_that_says_no_end_of_lines_is_left(machine: Machine) -> None:
    machine.script("bin/date", "#!/bin/sh\nexec yes >&3\n")
    machine.script("bin/mise", MISE)
    assert machine.run(NODE).notices == [
        "the tools are not installed: the guest's answer is longer than it can be"
    ]


def test_the_log_is_where_logs_are() -> None:
    assert LOG.startswith("/var/log/")
