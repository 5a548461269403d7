"""`honcho -f procfile start`: the services in the foreground of a terminal, for development."""

import json
import os
import signal
import sys
from pathlib import Path

from services.launcher.core import parse_procfile
from shared.errors import EXIT_STATUS, Code
from tests.home import REPOSITORY, Home
from tests.stack import Stack
from tests.waiting import eventually

SERVICES = parse_procfile((REPOSITORY / "procfile").read_text()).keys() - {"broker"}


def test_services_run_in_the_foreground_until_ctrl_c(home: Home) -> None:
    home.configure("[dns]\nport = 0\n")
    home.environment["PATH"] = os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ["PATH"]]
    )
    honcho = home.spawn("honcho", "-f", "procfile", "start")
    eventually(lambda: Stack(home).registered().keys() >= SERVICES, patience=60)
    listed = home.run("cli", "vm", "list", "-o", "json")
    assert (json.loads(listed.stdout), listed.stderr) == ([], "")
    status = home.run("cli", "daemon", "status", "-o", "json")
    shown = {service["name"]: service["state"] for service in json.loads(status.stdout)["services"]}
    assert shown == dict.fromkeys(["broker", *SERVICES], "running")
    assert status.returncode == 0
    for verb in ("stop", "restart"):
        refused = home.run("cli", "daemon", verb)
        assert refused.returncode == EXIT_STATUS[Code.CONFLICT]
        assert "in the foreground" in refused.stderr
    honcho.send_signal(signal.SIGINT)
    assert honcho.wait(20) == 128 + signal.SIGINT
    eventually(lambda: not home.processes())
