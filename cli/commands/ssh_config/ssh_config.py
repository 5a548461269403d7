"""``banger ssh-config``: plain ``ssh NAME.vm`` for every VM."""

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
# Written by `banger ssh-config --install`. Connect to a VM with: ssh NAME.vm
Host *.vm
    User root
    IdentityFile "{key}"
    IdentitiesOnly yes
    UserKnownHostsFile "{known_hosts}/%n"
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    UpdateHostKeys no
    CheckHostIP no
    ProxyCommand "{banger}" ssh-proxy %n
    ProxyUseFdpass yes
"""
"""%n is the name as it was typed. Each VM's host key is made on this host, so ssh does not have to
trust an unknown key at the first connection. The proxy passes a connected socket to ssh and exits
(ssh_config(5))."""


@click.command("ssh-config")
@click.option("--install", is_flag=True, help="Add an Include line to ~/.ssh/config.")
@click.option("--uninstall", is_flag=True, help="Remove that line.")
@click.pass_context
def ssh_config(ctx: click.Context, install: bool, uninstall: bool) -> None:
    """Set up ssh, scp, rsync and editors to reach VMs as NAME.vm.

    Without options, prints the configuration. No name server is needed, and your known_hosts file
    is not changed.

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
    banger = shutil.which(sys.argv[0]) or shutil.which("banger") or sys.argv[0]
    values: dict[str, Path] = {
        "key": paths.ssh_key,
        "known_hosts": paths.known_hosts_dir,
        "banger": Path(banger).absolute(),
    }
    for path in values.values():
        if '"' in str(path):
            raise BangerError(
                Code.INVALID, f"ssh_config(5) cannot name {path}: it has a quotation mark"
            )
    # ssh expands % in values; the template's own tokens stay.
    return TEMPLATE.format(**{name: str(path).replace("%", "%%") for name, path in values.items()})


def _install(paths: Paths) -> None:
    included = paths.state / "ssh_config"
    paths.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomically(included, _lines(paths).encode())
    if _rewrite(lambda text: with_block(text, f'Include "{included}"')):
        note("Installed. Connect to a VM with: ssh NAME.vm")
    else:
        note("Already installed.")


def _uninstall(paths: Paths) -> None:
    removed = _rewrite(without_block)
    (paths.state / "ssh_config").unlink(missing_ok=True)
    note("Uninstalled." if removed else "Not installed.")


def _user_file() -> Path:
    return Path.home() / ".ssh" / "config"


def _rewrite(change: Callable[[str], str]) -> bool:
    """Change the user's file; returns whether it changed. Its mode and a symbolic link are kept."""
    path = _user_file()
    # Its encoding and line ends are kept, whatever they are.
    text = path.read_bytes().decode(errors="surrogateescape") if path.exists() else ""
    changed = change(text)
    if changed == text:
        return False
    path.parent.mkdir(mode=0o700, exist_ok=True)
    target = path.resolve()
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o600
    write_atomically(target, changed.encode(errors="surrogateescape"), mode=mode)
    return True
