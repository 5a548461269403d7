"""``banger ssh-config`` and what ssh makes of it."""

import re
import subprocess
import sys
from pathlib import Path

from cli.commands.ssh_config.marked_block import BEGIN, END
from tests.unit.cli.conftest import Cli


def user_file(cli: Cli) -> Path:
    return cli.root / ".ssh" / "config"


def understood(cli: Cli, host: str) -> dict[str, str]:
    """What OpenSSH itself reads for ``host`` (ssh -G)."""
    argv = ["/usr/bin/ssh", "-G", "-F", str(user_file(cli)), host]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env=cli.env)
    return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)


def test_installed_once_ssh_finds_every_vm_and_nothing_else_changes(cli: Cli) -> None:
    user_file(cli).parent.mkdir(mode=0o700)
    user_file(cli).write_text("Host other\n    User me\n")
    for _ in range(2):
        assert cli("ssh-config", "--install").status == 0
    assert user_file(cli).read_text().count("Host *.vm") == 1
    found = understood(cli, "web.vm")
    assert found["user"] == "root"
    assert found["stricthostkeychecking"] == "true"
    assert found["identityfile"] == str(cli.paths.ssh_key)
    assert found["userknownhostsfile"] == str(cli.paths.known_hosts)
    assert found["proxycommand"].endswith(" ssh-proxy '%h'")
    assert (found["forwardagent"], found["forwardx11"]) == ("no", "no")
    assert understood(cli, "other")["user"] == "me"
    assert "proxycommand" not in understood(cli, "other")
    assert cli("ssh-config", "--uninstall").status == 0
    assert user_file(cli).read_text() == "Host other\n    User me\n"


def test_a_file_of_another_encoding_comes_back_to_the_letter(cli: Cli) -> None:
    before = "# Büro\r\nHost other\r\n".encode("latin-1")
    user_file(cli).parent.mkdir(mode=0o700)
    user_file(cli).write_bytes(before)
    assert cli("ssh-config", "--install").status == 0
    assert user_file(cli).read_bytes().endswith(before)
    assert cli("ssh-config", "--uninstall").status == 0
    assert user_file(cli).read_bytes() == before


def test_without_a_file_one_is_made_private(cli: Cli) -> None:
    assert cli("ssh-config", "--install").status == 0
    assert user_file(cli).stat().st_mode & 0o777 == 0o600
    assert user_file(cli).parent.stat().st_mode & 0o777 == 0o700


def test_a_symlink_stays_one(cli: Cli) -> None:
    user_file(cli).parent.mkdir(mode=0o700)
    elsewhere = cli.root / "dotfiles"
    elsewhere.write_text("Host other\n")
    user_file(cli).symlink_to(elsewhere)
    assert cli("ssh-config", "--install").status == 0
    assert user_file(cli).is_symlink()
    assert "Host *.vm" in elsewhere.read_text()


def test_without_an_option_the_lines_are_printed_and_nothing_is_written(cli: Cli) -> None:
    ran = cli("ssh-config")
    assert "Host *.vm" in ran.out
    assert not user_file(cli).exists()


def test_both_options_at_once_are_refused(cli: Cli) -> None:
    assert cli("ssh-config", "--install", "--uninstall").status == 2


def test_what_follows_in_the_users_file_holds_for_all_hosts_as_before(cli: Cli) -> None:
    user_file(cli).parent.mkdir(mode=0o700)
    user_file(cli).write_text("ServerAliveInterval 7\nHost *\n    User me\n    ForwardAgent yes\n")
    assert cli("ssh-config", "--install").status == 0
    assert understood(cli, "other")["serveraliveinterval"] == "7"
    found = understood(cli, "web.vm")
    assert (found["user"], found["forwardagent"]) == ("root", "no")


def test_a_section_above_the_block_stays_there_and_comes_first(cli: Cli) -> None:
    assert cli("ssh-config", "--install").status == 0
    mine = "Host web.vm\n    ForwardAgent yes\n"
    user_file(cli).write_text(mine + user_file(cli).read_text())
    assert cli("ssh-config", "--install").status == 0
    assert user_file(cli).read_text().startswith(mine)
    assert understood(cli, "web.vm")["forwardagent"] == "yes"


def test_the_proxy_finds_the_services_without_an_environment(cli: Cli) -> None:
    printed = cli("ssh-config").out
    (line,) = [line for line in printed.splitlines() if "ProxyCommand" in line]
    command = line.split(maxsplit=1)[1].replace("%h", "web.vm").replace("%%", "%")
    bare = {"PYTHONPATH": cli.env["PYTHONPATH"]}
    command = re.sub(r"\S+ ssh-proxy", f"{sys.executable} -m cli ssh-proxy", command)
    done = subprocess.run(
        ["/bin/sh", "-c", f"exec {command}"], env=bare, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, cwd=cli.root, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert "there is no VM" in done.stderr
    assert cli.run_dir.exists()
    cli("daemon", "stop")


def test_a_run_directory_that_nobody_chose_is_not_written_down(cli: Cli) -> None:
    """Services that another session has started have another one, and are found all the same."""
    printed = cli("ssh-config", env={"BANGER_RUN_DIR": "", "XDG_RUNTIME_DIR": "/run/user/7"}).out
    assert "BANGER_RUN_DIR" not in printed
    assert "XDG_RUNTIME_DIR=/run/user/7" in printed


def test_another_home_than_the_one_that_ssh_reads_is_told(cli: Cli) -> None:
    ran = cli("ssh-config", "--install")
    assert f"ssh -F {user_file(cli)}" in ran.err
    other = {"HOME": str(cli.root / "other")}
    assert cli("ssh-config", "--uninstall", env=other).err == "Not installed.\n"
    assert "Host *.vm" in user_file(cli).read_text()


def test_a_file_that_cannot_be_written_is_denied_with_what_to_do(cli: Cli) -> None:
    user_file(cli).parent.mkdir(mode=0o700)
    user_file(cli).symlink_to("/sys/kernel/uevent_seqnum")  # not even root makes files there
    ran = cli("ssh-config", "--install")
    assert ran.status == 1
    assert "cannot write" in ran.err
    assert "banger ssh-config" in ran.err
    user_file(cli).unlink()
    user_file(cli).mkdir()
    assert "cannot read" in cli("ssh-config", "--install").err


def test_the_file_of_an_older_version_goes_with_its_include_line(cli: Cli) -> None:
    old = cli.paths.state / "ssh_config"
    old.parent.mkdir(parents=True, exist_ok=True)
    old.write_text("Host *.vm\n")
    user_file(cli).parent.mkdir(mode=0o700)
    user_file(cli).write_text(f'{BEGIN}\nInclude "{old}"\n{END}\nHost mine\n')
    assert cli("ssh-config", "--uninstall").status == 0
    assert user_file(cli).read_text() == "Host mine\n"
    assert not old.exists()
