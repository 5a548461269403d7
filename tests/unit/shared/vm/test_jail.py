"""Whose process is a jail's."""

import os
import subprocess

import pytest

from shared.host.process import ProcessId, start_time
from shared.vm.jail import SPAN, is_jailed
from shared.vmm.search import find_vmm

VM = os.urandom(6).hex()


def own() -> ProcessId:
    return ProcessId(os.getpid(), start_time(os.getpid()) or 0)


def test_we_are_in_no_jail_and_neither_is_one_that_is_gone() -> None:
    assert not is_jailed(own())
    assert not is_jailed(ProcessId(2**22 - 1, 1))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process of another uid")
@pytest.mark.parametrize(("uid", "jailed"), [(SPAN.start + 2, True), (65534, False)])
def test_a_process_of_a_jails_uid_is_known_and_found_by_its_id(uid: int, jailed: bool) -> None:
    argv = ["sh", "-c", "echo; read x", "sh", f"--id=banger-{VM}", "--api-sock", "/vm/api.sock"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(argv, cwd="/", user=uid, group=uid, extra_groups=[], **pipes) as process:  # type: ignore[call-overload]
        process.stdout.readline()
        there = ProcessId(process.pid, start_time(process.pid) or 0)
        assert is_jailed(there) is jailed
        found = find_vmm(VM)
        assert (found.process if found else None) == (there if jailed else None)
        assert not is_jailed(ProcessId(process.pid, there.start_time + 1)), "another process"
        process.stdin.close()
