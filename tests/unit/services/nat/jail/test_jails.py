"""The directories of jails, and jails of other users. Real jails: tests/contract/test_jail.py."""

import os
import stat
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from services.nat.jail.jails import Jails, make_jail_directories
from services.nat.jail.plan import JailUser
from shared.config import Config, FirecrackerConfig
from shared.errors import BangerError, Code
from shared.paths import Paths
from tests.example import example_vm


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_modes_of_jails_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    top = tmp_path / "srv" / "jails"
    root = top / "1000" / "firecracker" / "banger-aaaaaaaaaaaa" / "root"
    make_jail_directories(top, root)
    make_jail_directories(top, root)
    modes = [stat.S_IMODE(each.stat().st_mode) for each in (root, *root.parents[:4])]
    assert modes == [0o700, 0o711, 0o711, 0o711, 0o711]


@pytest.fixture
def jails(tmp_path: Path) -> Jails:
    config = Config(firecracker=FirecrackerConfig(jail_directory=str(tmp_path)))
    user = JailUser(1000, 1000, (), Paths(*[Path("/nowhere")] * 4))
    return Jails(user, config, IPv4Network("10.77.0.0/24"))


@pytest.mark.skipif(os.geteuid() != 0, reason="jails belong to uids of their own")
def test_uid_of_another_users_jail_is_refused_and_the_same_users_is_not(
    jails: Jails, tmp_path: Path
) -> None:
    vm = example_vm(id="a" * 12, address="10.77.0.2", network="bridge", memory_mib=512)
    for owner in ("1000", "1001"):
        root = tmp_path / owner / "firecracker" / "banger-bbbbbbbbbbbb" / "root"
        root.mkdir(parents=True)
        os.chown(root, jails.uid_of(vm), 0)
        if owner == "1000":
            jails.refuse_shared(jails.uid_of(vm))
    with pytest.raises(BangerError, match="another user's VM") as caught:
        jails.refuse_shared(jails.uid_of(vm))
    assert caught.value.code is Code.CONFLICT
    assert "jail_uids" in caught.value.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("size", [{"memory_mib": -512}, {"vcpu": 0}, {"vcpu": 10**6}])
def test_sizes_that_no_vm_may_have_set_no_limits(jails: Jails, size: dict[str, int]) -> None:
    vm = example_vm(id="a" * 12, address="10.77.0.2", network="bridge")
    for name, value in size.items():
        setattr(vm, name, value)
    with pytest.raises(BangerError) as caught:
        jails.prepare(vm)
    assert caught.value.code is Code.INVALID
