"""A second local user who attacks the first one's banger by every way that a host leaves open.

tests/integration/test_users.py has what he cannot read, connect to or signal. Here he is first:
he plants, takes and names things before the first user's services look.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.home import Home, make_home
from tests.integration.namespaces import Namespace
from tests.integration.users import ONE, TWO, User, new_users, users_python
from tests.scripted import shelf
from tests.waiting import eventually

AS_ROOT = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: two more users of this host"),
    pytest.mark.skipif(
        os.geteuid() == 0 and users_python() is None,
        reason="no interpreter that an ordinary user could run",
    ),
]
pytestmark = pytest.mark.timeout(120)

VM = "aaaaaaaaaaaa"
SECRET = "hunter2-b7e1"
DENIED = 1


@pytest.fixture
def users() -> Iterator[tuple[User, User]]:
    with ExitStack() as cleanup:
        place = Namespace()
        cleanup.callback(place.close)
        one, two = cleanup.enter_context(new_users(place, ONE, TWO))
        yield one, two


@contextmanager
def acting(user: User, script: str, *arguments: str) -> Iterator[None]:
    """Python of ``user`` in the background, from when it has printed a line."""
    argv = ["setpriv", f"--reuid={user.uid}", f"--regid={user.uid}", "--clear-groups", "--"]
    command = [*argv, str(users_python()), "-c", script, *arguments]
    process = user.place.run(
        lambda: subprocess.Popen(
            command, cwd="/", env=user.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        yield
    finally:
        with process:
            process.kill()


# -- a run directory that is planted before it is made -------------------------------------------

DEFAULT = Path(f"/tmp/banger-{ONE}")
"""The first user's run directory when nothing says another: anybody may make it before him."""
LISTENER = """
import fcntl, os, socket, struct, sys, time
place = sys.argv[1]
s = socket.socket(socket.AF_UNIX)
s.bind(f"{place}/broker.sock")
s.listen()
for name in ("launcher.lock", "broker.lock"):
    fd = os.open(f"{place}/{name}", os.O_RDWR | os.O_CREAT, 0o666)
    os.write(fd, b"%d" % os.getpid())
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack("hhqqi0q", fcntl.F_WRLCK, 0, 0, 0, 0))
print("ready", flush=True)
s.accept()
open(f"{place}/connected", "w").close()
"""


@pytest.fixture
def cleared() -> Iterator[Path]:
    yield DEFAULT
    if DEFAULT.is_dir() and not DEFAULT.is_symlink():
        for path in DEFAULT.iterdir():
            path.unlink()
        DEFAULT.rmdir()
    else:
        DEFAULT.unlink(missing_ok=True)


def by_default(user: User, *words: str) -> "subprocess.CompletedProcess[bytes]":
    """The command of a user whose environment names no run directory."""
    return user.run(str(users_python()), "-m", "cli", *words, unset="BANGER_RUN_DIR")


@pytest.mark.parametrize(
    "plant",
    [
        ("mkdir", "-m", "777", str(DEFAULT)),
        ("mkdir", "-m", "700", str(DEFAULT)),
        ("ln", "-s", "{lure}", str(DEFAULT)),
        ("touch", str(DEFAULT)),
    ],
    ids=["open", "closed", "link", "file"],
)
class TestPlantedRunDirectory:
    pytestmark = AS_ROOT

    def test_it_is_refused_and_nothing_is_put_there(
        self, users: tuple[User, User], cleared: Path, plant: tuple[str, ...]
    ) -> None:
        one, two = users
        lure = two.root / "lure"
        assert two.can("mkdir", "-m", "777", str(lure))
        assert two.can(*(word.format(lure=lure) for word in plant))
        for words in (
            ("vm", "list"),
            ("daemon", "start"),
            ("vm", "run", "-e", f"A={SECRET}", "--", "true"),
        ):
            refused = by_default(one, *words)
            assert refused.returncode == DENIED, refused.stderr
            assert str(DEFAULT).encode() in refused.stderr
        assert not cleared.is_dir() or list(cleared.iterdir()) == []


@pytest.mark.usefixtures("cleared")
class TestFakeServices:
    pytestmark = AS_ROOT

    def test_services_of_somebody_else_are_never_asked(self, users: tuple[User, User]) -> None:
        one, two = users
        assert two.can("mkdir", "-m", "777", str(DEFAULT))
        with acting(two, LISTENER, str(DEFAULT)):
            refused = by_default(one, "vm", "run", "-e", f"A={SECRET}", "--", "true")
            assert refused.returncode == DENIED, refused.stderr
            assert not (DEFAULT / "connected").exists()


# -- names that the kernel shows to everybody ----------------------------------------------------

NAMES = r"""
import ctypes, socket, sys
libc = ctypes.CDLL(None)
libc.prctl(15, b"\xff\x1b]0;x\x07\n", 0, 0, 0)
kept = []
forged = b"\0/x\n00000000: 00000002 00000000 00010000 0001 01 99 " + sys.argv[1].encode()
for name in (b"\0\xff", forged, b"\0\x1b[2J"):
    kept.append(socket.socket(socket.AF_UNIX))
    kept[-1].bind(name)
    kept[-1].listen()
kept.append(socket.create_server(("127.0.0.1", 8765)))
print("ready", flush=True)
sys.stdin.read()
"""
LOOK = r"""
import sys
from pathlib import Path
from services.vm_supervisor.network.host_ports import holder_of
from shared.host.process import start_time
from shared.host.socket_table import unix_sockets
from shared.vmm.search import find_vmm
names = {each.path for each in unix_sockets()}
assert "\0\x1b[2J" in names and "/x" not in names and "/forged" not in names, names
every = [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit()]
assert any(map(start_time, every))
assert find_vmm(sys.argv[1]) is None
print(holder_of("tcp", "127.0.0.1", 8765))
"""
FIND = "import sys; from shared.vmm.search import find_vmm; print(find_vmm(sys.argv[1]))"


class TestNames:
    pytestmark = AS_ROOT

    def test_sockets_and_processes_of_any_name_hold_nothing_up(
        self, users: tuple[User, User]
    ) -> None:
        one, two = users
        with acting(two, NAMES, "/forged"):
            looked = one.python(LOOK, VM)
        assert looked.returncode == 0, looked.stderr.decode()
        assert looked.stdout == b"another user's program\n"

    def test_a_process_that_looks_like_a_vmm_is_not_taken_for_one(
        self, users: tuple[User, User]
    ) -> None:
        one, two = users
        double = f'exec -a qemu-system-x86_64 sh -c "echo ready; sleep 60" -name banger-{VM}'
        script = "import os, sys; os.execvp('bash', ['bash', '-c', sys.argv[1]])"
        with acting(two, script, double):
            assert two.python(FIND, VM).stdout.startswith(b"FoundVmm")
            assert one.python(FIND, VM).stdout == b"None\n"


# -- code that lies around -----------------------------------------------------------------------

TRAP = """
from pathlib import Path
Path({mark!r}).write_text(__name__)
raise SystemExit("code of somebody else was run")
"""


@pytest.fixture
def home() -> Iterator[Home]:
    """A home whose services the command itself starts, with images and VMMs that are scripted."""
    with ExitStack() as cleanup:
        directory = Path(cleanup.enter_context(TemporaryDirectory(prefix="bgr", dir="/tmp")))
        made = make_home(directory, shares_images=False)
        qemu = shelf.install(directory / "bin")
        made.environment.update(shelf.environment(directory / "bin"))
        del made.environment["PYTHONPATH"]
        made.configure(shelf.configuration(qemu))
        shelf.stock(made.paths)
        cleanup.callback(made.banger, "daemon", "stop", check=False)
        yield made


def _lay_traps(place: Path) -> Path:
    mark = place / "mark"
    for name in ("shared", "cli", "services"):
        (place / name).mkdir(parents=True)
        (place / name / "__init__.py").write_text(TRAP.format(mark=str(mark)))
    for name in ("click", "msgspec", "zmq", "sqlalchemy"):
        (place / f"{name}.py").write_text(TRAP.format(mark=str(mark)))
    return mark


@pytest.mark.parametrize("way", ["here", "PYTHONPATH"])
def test_code_of_a_directory_that_is_not_ours_is_not_run(
    home: Home, tmp_path: Path, way: str
) -> None:
    mark = _lay_traps(tmp_path / "trap")
    more = {"PYTHONPATH": str(tmp_path / "trap")} if way == "PYTHONPATH" else {}
    for words in (("vm", "list", "-o", "json"), ("daemon", "status")):
        done = subprocess.run(
            home.argv(*words),
            cwd=tmp_path / "trap",
            env=home.environment | more,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert not mark.exists(), f"{mark.read_text()} was imported"
        assert done.returncode == 0, done.stderr.decode()


# -- secrets that others could see ---------------------------------------------------------------


def test_no_process_of_ours_keeps_what_the_first_command_had_in_its_environment(
    home: Home,
) -> None:
    home.environment["CLOUD_TOKEN"] = SECRET
    home.banger("daemon", "start")
    found = eventually(lambda: len(home.processes()) >= 7 and home.processes())
    assert found
    for pid, line in found.items():
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        assert SECRET.encode() not in environment, line
        assert SECRET not in line
