"""A process found by its words, whichever VMM it is."""

import os
import subprocess
import sys

from shared.vmm.search import command_line, find_vmm
from tests.unit.shared.vmm.example import Paper, registered

SCRIPT = "import sys; print(flush=True); sys.stdin.read()"


def test_a_vmm_is_found_by_its_name_and_not_after_its_end() -> None:
    vm_id = os.urandom(6).hex()
    argv = [sys.executable, "-c", SCRIPT, "-name", f"banger-{vm_id}", "-accel", "kvm"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        found = find_vmm(vm_id)
        assert found
        assert found.process.pid == process.pid
        assert (found.info.name, found.traces.accel) == ("qemu", "kvm")
        assert command_line(process.pid) == argv
        assert find_vmm(vm_id[:-1]) is None, "a prefix is another VM"
    assert find_vmm(vm_id) is None


def test_a_vmm_that_was_registered_is_found_as_what_it_is() -> None:
    vm_id = os.urandom(6).hex()
    argv = [sys.executable, "-c", SCRIPT, f"vm=banger-{vm_id}", "ssh=2222"]
    with (
        registered(Paper()),
        subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process,
    ):
        assert process.stdout
        process.stdout.readline()
        found = find_vmm(vm_id)
        assert found
        assert (found.info.name, found.traces.ssh_port) == ("paper", 2222)
        assert process.stdin
        process.stdin.close()
