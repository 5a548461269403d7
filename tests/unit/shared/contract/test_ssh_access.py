"""How ssh is called, and that quoting survives the guest's shell."""

import subprocess
from dataclasses import replace
from pathlib import Path

from shared.contract.ssh_access import (
    Access,
    control_argv,
    master_argv,
    options,
    remote_command,
    session_argv,
)

ACCESS = Access("127.77.0.2", 2222, "/k", "/kh", "0123456789ab", "/r/ssh.sock")


def shell(command: str) -> subprocess.CompletedProcess[bytes]:
    """What sshd does with the command: it gives it to the user's shell."""
    return subprocess.run(["sh", "-c", command], capture_output=True, check=False)


def test_an_exit_status_comes_through() -> None:
    assert shell(remote_command(["sh", "-c", "exit 42"])).returncode == 42


def test_words_arrive_as_they_were() -> None:
    words = ["a b", "$HOME", "it's", "", "*"]
    assert shell(remote_command(["printf", "%s|", *words])).stdout == b"a b|$HOME|it's||*|"


def test_directory_and_environment_are_set(tmp_path: Path) -> None:
    command = remote_command(["sh", "-c", 'echo "$V:$PWD"'], cwd=str(tmp_path), env={"V": "x y"})
    assert shell(command).stdout == f"x y:{tmp_path}\n".encode()


def test_a_directory_that_is_not_there_does_not_run_the_command() -> None:
    assert shell(remote_command(["echo", "ran"], cwd="/no/such")).stdout == b""


def test_neither_the_users_files_nor_agent_are_used() -> None:
    values = options(ACCESS)
    assert "IdentityAgent=none" in values
    assert "StrictHostKeyChecking=yes" in values
    assert "UserKnownHostsFile=/kh" in values
    for argv in (master_argv(ACCESS, "log"), session_argv(ACCESS), control_argv(ACCESS, "check")):
        assert argv[1:3] == ["-F", "/dev/null"]


def test_a_command_is_one_argument_after_the_destination() -> None:
    assert session_argv(ACCESS, "exec true")[-2:] == ["root@127.77.0.2", "exec true"]


def test_sessions_use_the_connection_that_the_master_holds() -> None:
    control = "ControlPath=/r/ssh.sock"
    argv = session_argv(ACCESS)
    assert argv[argv.index(control) - 2] == "ControlMaster=no"
    master = master_argv(ACCESS, "/log")
    assert master[master.index(control) - 2] == "ControlMaster=yes"
    assert master[master.index("-E") + 1] == "/log"


def test_openssh_reads_back_paths_with_spaces_and_percent() -> None:
    access = replace(ACCESS, known_hosts="/a b/%h")
    argv = [*session_argv(access)[:1], "-G", *session_argv(access)[1:]]
    seen = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert "userknownhostsfile" in seen
    assert "/a b/%%h" in seen or "/a b/%h" in seen
