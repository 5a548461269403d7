"""How ssh is called, and what it makes of its options."""

import subprocess
from dataclasses import replace

from shared.contract.ssh_access import (
    Access,
    control_argv,
    master_argv,
    options,
)

ACCESS = Access("127.77.0.2", 2222, "/k", "/kh", "0123456789ab", "/r/ssh.sock")


def test_neither_the_users_files_nor_agent_are_used() -> None:
    values = options(ACCESS)
    assert "IdentityAgent=none" in values
    assert "StrictHostKeyChecking=yes" in values
    assert "UserKnownHostsFile=/kh" in values
    for argv in (master_argv(ACCESS, "log"), control_argv(ACCESS, "check")):
        assert argv[1:3] == ["-F", "/dev/null"]


def test_the_master_holds_the_shared_connection_and_logs_to_a_file() -> None:
    master = master_argv(ACCESS, "/log")
    assert master[master.index("ControlPath=/r/ssh.sock") - 2] == "ControlMaster=yes"
    assert master[master.index("-E") + 1] == "/log"
    assert master[-1] == "root@127.77.0.2"


def test_openssh_reads_back_paths_with_spaces_and_percent() -> None:
    access = replace(ACCESS, known_hosts="/a b/%h")
    argv = ["ssh", "-G", *options(access), "host"]
    seen = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert "userknownhostsfile" in seen
    assert "/a b/%%h" in seen or "/a b/%h" in seen
