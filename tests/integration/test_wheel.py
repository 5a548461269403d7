"""An installed wheel: one name in its environment, and no code of anybody else's directory."""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.home import REPOSITORY, Home, new_home
from tests.waiting import eventually

SERVICES = {"launcher", "broker", "store", "images", "workspaces", "api", "nat", "dns"}
HOSTILE = "import pathlib; pathlib.Path({mark!r}).touch(); raise SystemExit('foreign code ran')\n"
NAMES = ("shared", "services", "cli", "click", "msgpack", "zmq")


def run(*argv: str) -> None:
    subprocess.run(argv, check=True, cwd="/", capture_output=True, timeout=50)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtualenv with the wheel of this checkout; what the wheel needs is the tests' own."""
    root = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(root)]
    subprocess.run(build, check=True, cwd=REPOSITORY, capture_output=True, timeout=50)
    (wheel,) = root.glob("*.whl")
    made = root / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", str(made))
    python = str(made / "bin/python")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
    run(*pip, "install", "--no-deps", "--no-index", "--no-compile", str(wheel))
    packages = site_packages(made)
    # A line in a .pth file, not a directory of .pth files: the tests' own editable install is none
    # of this environment's.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return made


def site_packages(environment: Path) -> Path:
    (found,) = environment.glob("lib/python*/site-packages")
    return found


@pytest.fixture
def home() -> Iterator[Home]:
    with new_home("[dns]\nport = 0\n") as home:
        yield home


@pytest.fixture
def hostile(home: Home) -> Path:
    """A project with modules of our names, which leave a mark when they are run."""
    project = home.root / "project"
    project.mkdir()
    for name in NAMES:
        (project / name).mkdir()
        (project / name / "__init__.py").write_text(HOSTILE.format(mark=str(project / "RAN")))
    return project


def test_a_wheel_claims_one_name_of_its_environment(environment: Path) -> None:
    found = {path.name for path in site_packages(environment).iterdir()} - {"dependencies.pth"}
    assert {name for name in found if not name.endswith(".dist-info")} == {"banger"}


def test_no_code_of_the_current_directory_or_of_pythonpath_runs(
    environment: Path, home: Home, hostile: Path
) -> None:
    banger = str(environment / "bin/banger")
    with_path = home.environment | {"PYTHONPATH": str(hostile)}

    def command(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [banger, *words],
            cwd=hostile,
            env=with_path,
            capture_output=True,
            text=True,
            timeout=50,
        )

    listed = command("vm", "list", "-o", "json")
    assert (listed.returncode, listed.stdout, listed.stderr) == (0, "[]\n", "")

    def states() -> dict[str, str]:
        shown = json.loads(command("daemon", "status", "-o", "json").stdout)["services"]
        return {each["name"]: each["state"] for each in shown}

    eventually(lambda: states() == dict.fromkeys(SERVICES, "running"))
    ours = {pid: line for pid, line in home.processes().items() if "-m banger" in line}
    eventually(lambda: any("vm_supervisor" in line for line in home.processes().values()))
    assert all(" -I -m banger services." in line for line in ours.values()), ours
    assert len(ours) >= len(SERVICES)
    stopped = command("daemon", "stop")
    assert (stopped.returncode, stopped.stderr) == (0, "The services are stopped.\n")
    assert not (hostile / "RAN").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="nat runs for a user as root only")
def test_nat_runs_as_root_only_what_root_alone_can_change(environment: Path, hostile: Path) -> None:
    """And nothing of the directory that root happens to be in."""
    python = str(environment / "bin/python")
    os.chown(environment, 4242, -1)
    try:
        refused = subprocess.run(
            [python, "-I", "-m", "banger", "services.nat", "--user", "nobody"],
            cwd=hostile,
            capture_output=True,
            text=True,
            timeout=20,
        )
    finally:
        os.chown(environment, 0, -1)
    assert refused.returncode == 1
    assert f"{environment} belongs to uid 4242" in refused.stderr
    assert "--trust-user-code" in refused.stderr
    assert not (hostile / "RAN").exists()
