"""``banger ssh-config`` and what ssh makes of it."""

import subprocess
from pathlib import Path

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
    assert user_file(cli).read_text().count("Include") == 1
    found = understood(cli, "web.vm")
    assert found["user"] == "root"
    assert found["stricthostkeychecking"] == "true"
    assert found["identityfile"] == str(cli.paths.ssh_key)
    assert found["userknownhostsfile"] == str(cli.paths.known_hosts_of("web"))
    assert found["proxycommand"].endswith(" ssh-proxy %n")
    assert understood(cli, "other")["user"] == "me"
    assert "proxycommand" not in understood(cli, "other")
    assert cli("ssh-config", "--uninstall").status == 0
    assert user_file(cli).read_text() == "Host other\n    User me\n"
    assert not (cli.paths.state / "ssh_config").exists()


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
    assert "Include" in elsewhere.read_text()


def test_without_an_option_the_lines_are_printed_and_nothing_is_written(cli: Cli) -> None:
    ran = cli("ssh-config")
    assert ran.out.startswith("# Written by")
    assert "Host *.vm" in ran.out
    assert not user_file(cli).exists()


def test_both_options_at_once_are_refused(cli: Cli) -> None:
    assert cli("ssh-config", "--install", "--uninstall").status == 2
