"""One file with the host keys of all VMs."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.vm.known_hosts import names_of, pin, pinned, rename, unpin

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDkG0Sx5HNp4sDD5rQjvZ7g6qVgL8VbDhmbkbzS3tOYY"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIeOxhoQpO8wW4+Ah6CyVJpLlzV3bZ8mYt0QX0kVd2gS"
WEB, DB = "0123456789ab", "ba9876543210"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "known_hosts"


def found(path: Path, host: str) -> str:
    """What OpenSSH finds for a host, without comments."""
    argv = ["ssh-keygen", "-F", host, "-f", str(path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return "".join(line for line in done.stdout.splitlines() if not line.startswith("#"))


def test_openssh_finds_a_vm_by_each_of_its_names(path: Path) -> None:
    pin(path, names_of(WEB, "web", "127.77.0.2"), KEY)
    pin(path, names_of(DB, "db", "127.77.0.3", 2222), OTHER)
    for host in ("web.vm", f"{WEB}.vm", WEB, "127.77.0.2"):
        assert found(path, host).endswith(KEY)
    assert found(path, "[127.77.0.3]:2222").endswith(OTHER)
    assert found(path, "127.77.0.3") == ""
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_name_has_one_key_whoever_had_it_before(path: Path) -> None:
    pin(path, names_of(WEB, "web", "127.77.0.2"), KEY)
    pin(path, names_of(WEB, "web", "127.77.0.2"), KEY)
    pin(path, names_of(DB, "web", "127.77.0.3"), OTHER)
    assert found(path, "web.vm").endswith(OTHER)
    assert found(path, WEB).endswith(KEY)
    assert len(path.read_text().splitlines()) == 2


def test_a_vm_is_renamed_and_forgotten(path: Path) -> None:
    pin(path, names_of(WEB, "web", "127.77.0.2"), KEY)
    rename(path, WEB, "www")
    assert pinned(path, "www.vm")
    assert not pinned(path, "web.vm")
    rename(path, DB, "none")
    assert not pinned(path, "none.vm")
    unpin(path, WEB)
    unpin(path, WEB)
    assert path.read_text() == ""


def test_no_change_is_lost_among_many_at_once(path: Path) -> None:
    def change(number: int) -> None:
        pin(path, names_of(f"id{number}", f"vm{number}", f"127.77.0.{number}"), KEY)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(change, range(40)))
    assert len(path.read_text().splitlines()) == 40
