"""``banger ssh-config``: plain ``ssh NAME.vm`` for every VM."""

import os
import pwd
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import click

from cli.commands.ssh_config.marked_block import with_block, without_block
from cli.terminal.output import note
from shared.errors import BangerError, Code
from shared.host.files import write_atomically
from shared.paths import Paths

TEMPLATE = """\
# Connect to a VM with: ssh NAME.vm
Host *.vm
    User root
    IdentityFile "{key}"
    IdentitiesOnly yes
    UserKnownHostsFile "{known_hosts}"
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    UpdateHostKeys no
    CheckHostIP no
    ForwardAgent no
    ForwardX11 no
    ProxyCommand {command} ssh-proxy '%h'
    ProxyUseFdpass yes
Host *
"""
"""For OpenSSH and for the libraries that read its configuration. Those know neither ProxyUseFdpass
nor, in paramiko, Include and the token %n, so the lines are in the user's file itself and the proxy
also pipes. Each VM's host key is made on this host, so ssh does not have to trust an unknown
key at the first connection. The last line ends the section for what follows in the user's file."""


@click.command("ssh-config")
@click.option("--install", is_flag=True, help="Add a block to ~/.ssh/config.")
@click.option("--uninstall", is_flag=True, help="Remove that block.")
@click.pass_context
def ssh_config(ctx: click.Context, install: bool, uninstall: bool) -> None:
    """Set up ssh, scp, rsync and editors to reach VMs as NAME.vm.

    Without options, prints the configuration. No name server is needed, and your known_hosts file
    is not changed. Forwarding of the ssh agent and of X11 is off unless asked for (ssh -A, ssh -X).

    \b
    Examples:
      banger ssh-config --install && ssh web.vm
      rsync -a src/ web.vm:/root/src/
      banger ssh-config --uninstall
    """
    if install and uninstall:
        raise click.UsageError("--install and --uninstall cannot be combined", ctx)
    paths = Paths.from_environment()
    if install:
        _install(paths)
    elif uninstall:
        _uninstall(paths)
    else:
        click.echo(_lines(paths), nl=False)


def _lines(paths: Paths) -> str:
    for path in (paths.ssh_key, paths.known_hosts):
        if '"' in str(path):
            raise BangerError(
                Code.INVALID, f"ssh_config(5) cannot name {path}: it has a quotation mark"
            )
    # ssh expands % in values; the template's own token stays.
    values = {
        "key": str(paths.ssh_key),
        "known_hosts": str(paths.known_hosts),
        "command": _command(paths),
    }
    return TEMPLATE.format(**{name: value.replace("%", "%%") for name, value in values.items()})


def _command(paths: Paths) -> str:
    """The command line that finds the same services and state without an environment: by
    "env -i ssh", from cron, from an editor that was started elsewhere.

    Of the run directory it has what it depends on, and not the path: services that are up are found
    by the state directory, wherever they were started.
    """
    banger = shutil.which(sys.argv[0]) or shutil.which("banger") or sys.argv[0]
    environment = {
        "XDG_CONFIG_HOME": str(paths.config.parent),
        "XDG_DATA_HOME": str(paths.data.parent),
        "XDG_STATE_HOME": str(paths.state.parent),
    }
    for variable in ("BANGER_RUN_DIR", "XDG_RUNTIME_DIR"):
        if value := os.environ.get(variable):
            environment[variable] = value
    words = [f"{name}={value}" for name, value in environment.items()]
    return shlex.join(["/usr/bin/env", *words, str(Path(banger).absolute())])


def _install(paths: Paths) -> None:
    lines = _lines(paths)
    changed = _rewrite(
        lambda text: with_block(text, lines), "add to it what `banger ssh-config` prints"
    )
    note("Installed. Connect to a VM with: ssh NAME.vm" if changed else "Already installed.")
    read = Path(pwd.getpwuid(os.getuid()).pw_dir)
    if read.resolve() != Path.home().resolve():
        note(
            f"OpenSSH reads {read}/.ssh/config whatever HOME is: "
            f"use ssh -F {_user_file()}, or install with HOME={read}"
        )


def _uninstall(paths: Paths) -> None:
    included = paths.state / "ssh_config"
    text = _text(_user_file())
    removed = _rewrite(without_block, "remove our block from it by hand")
    if f'Include "{included}"' in text:  # of a version that wrote a file of its own
        included.unlink(missing_ok=True)
    note("Uninstalled." if removed else "Not installed.")


def _user_file() -> Path:
    return Path.home() / ".ssh" / "config"


def _text(path: Path) -> str:
    """Its encoding and line ends are kept, whatever they are."""
    try:
        return path.read_bytes().decode(errors="surrogateescape")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise BangerError(Code.DENIED, f"cannot read {path}: {error.strerror}") from None


def _rewrite(change: Callable[[str], str], otherwise: str) -> bool:
    """Change the user's file; returns whether it changed. Its mode and a symbolic link are kept.

    Raises:
        BangerError: ``denied`` when it cannot be written; the hint is to do ``otherwise``.
    """
    path = _user_file()
    text = _text(path)
    changed = change(text)
    if changed == text:
        return False
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        target = path.resolve()
        there = target.exists()
        if there and not os.access(target, os.W_OK):
            raise PermissionError(13, "it is read-only")
        mode = target.stat().st_mode & 0o777 if there else 0o600
        write_atomically(target, changed.encode(errors="surrogateescape"), mode=mode)
    except OSError as error:
        raise BangerError(
            Code.DENIED, f"cannot write {path}: {error.strerror or error}", hint=otherwise
        ) from None
    return True
