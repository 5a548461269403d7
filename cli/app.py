"""The command ``banger``: what there is, and where it is found."""

import click

from cli.parsing.lazy_group import LazyGroup
from shared.version import __version__

COMMANDS = {
    "vm": "cli.commands.vm.group:vm",
    "image": "cli.commands.image:image",
    "kernel": "cli.commands.kernel:kernel",
    "ops": "cli.commands.ops:ops",
    "daemon": "cli.commands.daemon:daemon",
    "doctor": "cli.doctor.command:doctor",
    "ssh-config": "cli.commands.ssh_config.ssh_config:ssh_config",
    "ssh-proxy": "cli.commands.ssh_config.ssh_proxy:ssh_proxy",
    "completion": "cli.commands.completion:completion",
    "version": "cli.commands.version:version",
}

HELP_NAMES = {"help_option_names": ["-h", "--help"]}


@click.group(cls=LazyGroup, lazy=COMMANDS, context_settings=HELP_NAMES)
@click.version_option(__version__, prog_name="banger", message="%(prog)s %(version)s")
def banger() -> None:
    """One command gives you a disposable Linux machine.

    \b
    Examples:
      banger vm run --rm                      a shell in a new machine, gone afterwards
      banger vm run --rm -- make test         run a command there, exit with its status
      banger vm run -d --name web             leave one running
      banger vm ssh web                       go in
      banger doctor                           is everything there that is needed?
    """
