"""What makes one guest different from every other one."""

import asyncio
from pathlib import Path

from services.vm_supervisor.launch.drives import drives_of
from services.vm_supervisor.launch.identity import identity_of, keys_of
from services.vm_supervisor.network.modes import bridge_network
from shared.paths import Paths
from shared.vm import files
from tests.unit.services.vm_supervisor.launch.test_facts import spec


def test_two_vms_have_nothing_of_each_other_but_the_key_of_their_user(tmp_path: Path) -> None:
    paths = Paths(**{name: tmp_path / name for name in ("config", "data", "state", "run")})
    made = []
    for vm_id, name in (("a" * 12, "one"), ("b" * 12, "two")):
        one = spec(tmp_path, id=vm_id, name=name)
        keys = asyncio.run(keys_of(paths, one.vm))
        assert asyncio.run(keys_of(paths, one.vm)) == keys, "they are kept"
        assert (paths.vm_state(vm_id) / files.HOST_KEY).exists()
        drives = drives_of(Path(one.image), Path(one.kernel), paths.vm_state(vm_id))
        network = bridge_network(vm_id, f"tap-{name}", "10.0.0.2/24", "10.0.0.1", (), "")
        made.append(identity_of(one, network, drives, "vsock", keys))
    first, second = made
    assert (first.hostname, second.hostname) == ("one", "two")
    assert len(first.machine_id) == 32
    for name in ("hostname", "machine_id", "host_key", "network"):
        assert getattr(first, name) != getattr(second, name)
    assert first.authorized_keys == second.authorized_keys
