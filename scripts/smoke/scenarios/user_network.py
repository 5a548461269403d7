"""The same stories in user mode, for a run whose other groups are in bridge mode."""

from scripts.smoke.registry import REGISTRY, Group
from scripts.smoke.scenarios.crashes import supervisor_killed_with_a_vm_up
from scripts.smoke.scenarios.network import (
    egress_list,
    names_in_dns,
    nat_on_and_off,
    ports,
    published_ports,
    udp_port,
)
from scripts.smoke.scenarios.saving import forks, run_from, snapshot_and_restore, suspend_and_resume

USER = Group("user", "user")

for play in (
    nat_on_and_off,
    ports,
    udp_port,
    published_ports,
    egress_list,
    supervisor_killed_with_a_vm_up,
    names_in_dns,
    suspend_and_resume,
    snapshot_and_restore,
    forks,
    run_from,
):
    REGISTRY.add(USER, play, prefix="user-")
