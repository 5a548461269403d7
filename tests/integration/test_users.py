"""Two ordinary users on one host, one of them with root's nat beside the services.

User one has the bridge without being root; user two sees and touches nothing of user one's; and
neither can make root write, connect or configure what it should not.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from services.nat.plan.state import tap_name
from tests.integration.namespaces import Namespace, join_tap, open_tun
from tests.integration.users import ONE, TWO, User, new_users, users_python
from tests.stack import new_stack
from tests.waiting import eventually

pytestmark = [
    pytest.mark.skipif(
        os.geteuid() != 0 or not Path("/dev/net/tun").exists(),
        reason="needs root and /dev/net/tun: users, namespaces and taps",
    ),
    pytest.mark.skipif(
        os.geteuid() == 0 and users_python() is None,
        reason="no interpreter that an ordinary user could run",
    ),
    pytest.mark.timeout(120),
]

VM = "aaaaaaaaaaaa"
BRIDGED = "[nat]\nexternal = true\n"


@dataclass
class Host:
    """A network namespace with two users, and what root keeps for itself."""

    place: Namespace
    one: User
    two: User
    root: Path

    def start_nat(self) -> None:
        self.one.start_nat(self.root)

    def start(self) -> None:
        """User one's services and root's nat."""
        for service in ("broker", "store"):
            self.one.start(service)
        self.start_nat()
        eventually(lambda: "nat" in self.one.stack.registered())

    def call(self, service: str, verb: str, **body: Any) -> dict[str, Any]:
        return self.one.stack.call(service, verb, **body)

    def reserve(self, subnet: str = "10.77.0.0/24") -> None:
        self.one.stack.reserve(VM, "alpha", nat=True, network="bridge", subnet=subnet)

    def attach(self) -> dict[str, Any]:
        return self.call("nat", "nat.attach", id=VM)

    def join_as(self, uid: int) -> bool:
        """Whether a process of ``uid`` may join the tap, by a descriptor opened for it."""
        fd = self.place.run(open_tun)
        try:
            done = subprocess.run(
                ["true"], user=uid, preexec_fn=lambda: join_tap(fd, tap_name(VM)), timeout=20
            )
        except subprocess.SubprocessError:
            return False
        finally:
            os.close(fd)
        return done.returncode == 0


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with ExitStack() as cleanup:
        place = Namespace()
        cleanup.callback(place.close)
        one, two = cleanup.enter_context(new_users(place, ONE, TWO))
        one.configure(BRIDGED)
        yield Host(place, one, two, tmp_path)


def test_a_users_vm_gets_a_tap_that_is_the_users_alone(host: Host) -> None:
    host.start()
    host.reserve()
    assert host.attach()["tap"] == tap_name(VM)
    assert f"user {ONE}" in host.place.sh(f"ip -d link show {tap_name(VM)}")
    assert host.join_as(ONE)
    assert not host.join_as(TWO)


def test_root_leaves_no_file_with_the_user_and_keeps_its_own_closed(host: Host) -> None:
    host.start()
    host.reserve()
    host.attach()  # with NAT: forwarding is forwarding_saved, which is noted
    assert host.one.foreign_files() == []
    keep = host.root / "keep" / str(ONE)
    assert sorted(path.name for path in keep.iterdir()) == ["ip_forward.json", "nat.lock"]
    assert keep.stat().st_mode & 0o777 == 0o700
    assert not host.one.can("ls", str(keep))
    assert (host.root / "logs" / f"nat-{ONE}.log").exists()


def test_the_user_cannot_choose_the_subnet_of_roots_bridge(host: Host) -> None:
    host.one.configure(BRIDGED + 'subnet = "10.99.0.0/24"\nbridge = "br-evil"\n')
    host.start()
    host.reserve("10.99.0.0/24")
    with pytest.raises(Exception, match=r"not in the bridge's subnet 10\.77\.0\.0/24"):
        host.attach()
    links = host.place.sh("ip -o link")
    assert "br-evil" not in links
    assert tap_name(VM) not in links


def test_nat_waits_for_the_users_services_and_outlives_their_broker(host: Host) -> None:
    assert host.one.can("rmdir", str(host.one.paths.run))
    host.start_nat()
    eventually((host.root / "keep" / str(ONE)).exists)
    assert host.one.can("mkdir", "-m", "700", str(host.one.paths.run))
    for _ in range(2):
        host.one.start("broker")
        eventually(lambda: "nat" in host.one.stack.registered())
        host.one.stack.kill("broker")


def test_a_link_to_roots_own_broker_does_not_lead_root_there(host: Host) -> None:
    """Registered there, nat would make taps for root's VMs that belong to the user."""
    with new_stack() as roots:
        roots.start("broker")
        socket = host.one.paths.broker_socket
        assert host.one.can("ln", "-s", str(roots.paths.broker_socket), str(socket))
        host.start_nat()
        log = host.root / "logs" / f"nat-{ONE}.log"
        eventually(lambda: log.exists() and '"started"' in log.read_text())
        assert host.one.can("rm", str(socket))
        host.one.start("broker")
        eventually(lambda: "nat" in host.one.stack.registered())
        assert roots.call("broker", "broker.services")["services"] == []


def test_a_directory_of_somebody_else_is_refused(host: Host) -> None:
    """As one that was put into /tmp before the user's services could."""
    assert host.one.can("rmdir", str(host.one.paths.run))
    host.two.start("broker")
    host.one.start_nat(host.root, "--run", str(host.two.paths.run))
    nat = host.one.stack.processes.pop("nat")
    assert nat.wait(15) == 1
    assert "nat" not in host.two.stack.registered()


CONNECT = (
    "import socket, sys\n"
    "with socket.socket(socket.AF_UNIX) as s: s.connect(sys.argv[1]); print(s.recv(1))"
)
KEY = (
    "from shared.paths import Paths\n"
    "from services.vm_supervisor.guest.ssh import ensure_key\n"
    "ensure_key(Paths.from_environment().ssh_key)"
)


def test_the_other_user_sees_and_touches_nothing(host: Host) -> None:
    host.start()
    host.reserve()
    host.attach()
    assert host.one.python(KEY).returncode == 0
    paths = host.one.paths
    private = [
        ("ls", str(paths.run)),
        ("ls", str(paths.state)),
        ("ls", str(paths.logs)),
        ("head", "-c1", str(paths.database)),
        ("head", "-c1", str(paths.ssh_key)),
        ("head", "-c1", str(paths.log_file("store"))),
        ("touch", str(paths.run / "x")),
        ("touch", str(paths.state / "x")),
        (str(users_python()), "-c", CONNECT, str(paths.broker_socket)),
        (str(users_python()), "-c", CONNECT, str(paths.event_socket)),
        ("kill", "-0", str(host.one.stack.registered()["store"])),
    ]
    for argv in private:
        assert host.one.can(*argv), argv
        assert not host.two.can(*argv), argv
    nat = str(host.one.stack.registered()["nat"])
    for user in (host.one, host.two):
        assert not user.can("kill", "-0", nat)
        assert not user.can("ls", f"/proc/{nat}/fd")
