"""Commands in a workspace, by the program in the guest: its directory, and mise. A script plays
mise: it says what it was asked, and puts a directory of tools in front of the PATH."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.contract.guest_command import VARIABLE, GuestCommand, text_of
from tests.scripted.ssh_sessions import Guest

Done = subprocess.CompletedProcess[str]

MISE = """#!/bin/sh
case $0 in */mise) ;; *) exit 9 ;; esac
printf '%s|' "$@" >"$HOME/asked"
echo "$MISE_EXEC_AUTO_INSTALL $MISE_TRUSTED_CONFIG_PATHS" >"$HOME/settings"
while [ "$1" != -- ]; do shift; done
shift
PATH=$HOME/tools:$PATH
exec "$@"
"""


class Home:
    """Of the guest's root, with a workspace in ``repo``."""

    def __init__(self, directory: Path, program: Path) -> None:
        self.directory = directory
        self.workspace = directory / "repo"
        (self.workspace / ".git/banger").mkdir(parents=True)
        (directory / "tools").mkdir()
        script(directory / "tools/node", '#!/bin/sh\necho "node $*"; pwd; exit 5\n')
        self._program = program

    def install_mise(self) -> None:
        (self.directory / ".local/bin").mkdir(parents=True)
        script(self.directory / ".local/bin/mise", MISE)

    def run(self, command: GuestCommand) -> Done:
        environment = {
            "HOME": str(self.directory), "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh",
            VARIABLE: text_of(command, "t0"),
        }  # fmt: skip
        return subprocess.run(
            [self._program], env=environment, cwd=self.directory, stdin=subprocess.DEVNULL,
            capture_output=True, timeout=30, check=False, text=True,
        )  # fmt: skip

    def command(self, *words: str, env: "dict[str, str] | None" = None) -> Done:
        return self.run(GuestCommand(words, str(self.workspace), env or {}, mise=True))

    @property
    def asked(self) -> list[str]:
        return (self.directory / "asked").read_text().split("|")[:-1]


def script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    guest = Guest()
    yield Home(tmp_path, guest.program)
    guest.close()


def test_without_tools_or_without_mise_the_words_run_as_they_are(home: Home) -> None:
    assert home.command("pwd").stdout == f"{home.workspace}\n"
    (home.workspace / "mise.toml").touch()
    assert home.command("pwd").stdout == f"{home.workspace}\n"
    (home.workspace / "mise.toml").unlink()
    home.install_mise()
    assert home.command("pwd").stdout == f"{home.workspace}\n"
    assert not (home.directory / "asked").exists()


@pytest.mark.parametrize("name", ["mise.toml", ".mise.toml", ".tool-versions"])
def test_a_file_of_mises_leads_through_mise(home: Home, name: str) -> None:
    home.install_mise()
    (home.workspace / name).touch()
    done = home.command("node", "a b", "*", "")
    assert (done.returncode, done.stdout) == (5, f"node a b * \n{home.workspace}\n")
    assert home.asked[:2] == ["exec", "--"]
    assert (home.directory / "settings").read_text() == f"0 {home.workspace}\n"


def test_tools_that_the_bootstrap_has_installed_are_named(home: Home) -> None:
    home.install_mise()
    (home.workspace / ".git/banger/tools").write_text("node@20 python@3.11\n")
    assert home.command("node").returncode == 5
    assert home.asked[:4] == ["exec", "node@20", "python@3.11", "--"]


def test_mise_in_the_path_comes_first(home: Home) -> None:
    home.install_mise()
    (home.workspace / "mise.toml").touch()
    (home.directory / "bin").mkdir()
    script(home.directory / "bin/mise", '#!/bin/sh\necho "other $1"\n')
    path = f"{home.directory}/bin:/usr/bin:/bin"
    assert home.command("node", env={"PATH": path}).stdout == "other exec\n"


def test_the_command_sees_nothing_of_how_it_was_started(home: Home) -> None:
    home.install_mise()
    (home.workspace / "mise.toml").touch()
    shown = home.command("env", env={"A": "1"}).stdout
    names = {line.partition("=")[0] for line in shown.splitlines()}
    assert names == {"HOME", "PATH", "SHELL", "PWD", "A"}
    own = {"MISE_EXEC_AUTO_INSTALL": "1"}
    assert "MISE_EXEC_AUTO_INSTALL=1\n" in home.command("env", env=own).stdout


def test_a_program_that_is_nowhere_gives_127_and_one_that_does_not_run_126(home: Home) -> None:
    home.install_mise()
    (home.workspace / "mise.toml").touch()
    done = home.command("no-such-program")
    assert done.returncode == 127
    assert "no-such-program: command not found\n" in done.stderr
    (home.workspace / "plain").touch()
    assert home.command("./plain").returncode == 126
    assert home.command("sh", "-c", "exit 126").returncode == 126


def test_a_shell_in_a_workspace_keeps_the_tools_in_its_path(home: Home) -> None:
    """A login shell would set a PATH of its own (Debian's /etc/profile does)."""
    (home.workspace / "mise.toml").touch()
    script(home.directory / "shell", '#!/bin/sh\necho "shell $*"\n')
    shell = {"SHELL": str(home.directory / "shell")}
    environment = GuestCommand((), str(home.workspace), shell, mise=True)
    assert home.run(environment).returncode == 0  # /bin/sh, whose input is empty
    home.install_mise()
    home.run(environment)
    assert home.asked[-1] == "/bin/sh"


def test_a_directory_that_is_gone_falls_back_to_the_home_directory(home: Home) -> None:
    gone = str(home.directory / "gone")
    done = home.run(GuestCommand(["pwd"], gone, fallback=True))
    assert (done.returncode, done.stdout) == (0, f"{home.directory}\n")
    warning = f"warning: cannot enter {gone}: this runs in {home.directory}\n"
    assert done.stderr.partition("\n")[2] == warning
    refused = home.run(GuestCommand(["pwd"], gone))
    assert (refused.returncode, refused.stdout) == (126, "")


def test_a_variable_of_the_command_changes_nothing_of_that(home: Home) -> None:
    names = ("mise", "gone", "fallback", "user", "_banger_mise")
    done = home.command("sh", "-c", 'echo "$gone $mise $fallback"', env=dict.fromkeys(names, "x"))
    assert (done.returncode, done.stdout) == (0, "x x x\n")
