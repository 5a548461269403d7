"""The command against real services that it starts itself."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PATIENCE = 50
SERVICES = ["launcher", "broker", "store", "images", "api", "nat", "dns"]


class Machine:
    """Directories of its own, in which ``banger`` is run."""

    def __init__(self, root: Path) -> None:
        self.root = root
        homes = {f"XDG_{kind}_HOME": str(root / kind) for kind in ("CONFIG", "DATA", "STATE")}
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(root),
            "PYTHONPATH": str(REPOSITORY),
            "BANGER_RUN_DIR": str(root / "run"),
            **homes,
        }
        # Port 0: the kernel chooses, so that runs do not take each other's.
        self.configure("[dns]\nport = 0\n")

    def configure(self, text: str) -> None:
        file = self.root / "CONFIG/banger/config.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def begin(self, *args: str) -> "subprocess.Popen[str]":
        pipe = subprocess.PIPE
        argv = [sys.executable, "-m", "cli", *args]
        return subprocess.Popen(argv, env=self.env, cwd="/", text=True, stdout=pipe, stderr=pipe)

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
def machine() -> Iterator[Machine]:
    with tempfile.TemporaryDirectory(prefix="bngr") as root:  # short: sockets live below it
        made = Machine(Path(root))
        yield made
        made.banger("daemon", "stop")


def test_the_first_command_starts_the_services_and_stop_ends_them(machine: Machine) -> None:
    assert machine.banger("vm", "list", "-o", "json") == (0, "[]\n", "")
    services = machine.services()
    assert [name for name, each in services.items() if each["state"] == "running"] == SERVICES
    assert machine.banger("daemon", "stop") == (0, "", "the services are stopped\n")
    for service in services.values():
        assert not alive(service["pid"])


def test_two_first_commands_at_once_start_one_launcher(machine: Machine) -> None:
    both = [machine.begin("vm", "list", "-q") for _ in range(2)]
    for process in both:
        assert process.communicate(timeout=PATIENCE) == ("", "")
        assert process.returncode == 0
    log = (machine.root / "STATE/banger/logs/launcher.log").read_text()
    assert log.count('"message": "started"') == 1


def test_restart_replaces_every_service(machine: Machine) -> None:
    machine.banger("daemon", "start")
    before = machine.services()
    assert machine.banger("daemon", "restart")[0] == 0
    after = machine.services()
    assert [name for name in SERVICES if after[name]["pid"] == before[name]["pid"]] == []


def test_services_that_cannot_start_are_named_with_their_last_words(machine: Machine) -> None:
    machine.configure('network = "carrier pigeon"\n')
    status, out, err = machine.banger("vm", "list")
    assert (status, out) == (6, "")
    assert err.startswith("error: the service launcher did not come up; its last words: ")
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
    before = sorted(machine.root.rglob("*"))
    _, out, _ = machine.banger("doctor", "-o", "json")
    found = {result["name"]: result for result in json.loads(out)}
    assert found["store"]["status"] == found["services"]["status"] == "PASS"
    assert found["run directory"]["status"] == "PASS"
    assert found["image"]["status"] == "WARN"
    assert sorted(machine.root.rglob("*")) == before
