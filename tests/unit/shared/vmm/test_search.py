"""A process found by its words, and what they say."""

import os
import subprocess
import sys

from shared.vmm.search import accelerator, command_line, find_vmm, forwarded_ssh_port

WORDS = b"qemu\0-accel\0tcg,tb-size=128\0-netdev\0user,id=net0,hostfwd=tcp:127.77.0.2:2222-:22\0"


def test_a_vmm_is_found_by_its_name_and_not_after_its_end() -> None:
    script = "import sys; print(flush=True); sys.stdin.read()"
    vm_id = os.urandom(6).hex()
    argv = [sys.executable, "-c", script, "-name", f"banger-{vm_id}", "-m", "1"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        found = find_vmm(vm_id)
        assert found
        assert found.pid == process.pid
        assert f"banger-{vm_id}".encode() in command_line(process.pid)
        assert find_vmm(vm_id[:-1]) is None, "a prefix is another VM"
    assert find_vmm(vm_id) is None


def test_the_forwarded_port_is_read_from_the_words() -> None:
    assert forwarded_ssh_port(WORDS) == 2222
    assert forwarded_ssh_port(b"-netdev\0tap,id=net0\0") is None


def test_the_accelerator_is_read_from_the_words() -> None:
    assert accelerator(WORDS) == "tcg"
    assert accelerator(b"qemu\0-accel\0kvm\0-cpu\0host\0") == "kvm"
