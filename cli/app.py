"""The command ``banger``: its commands, and the modules that hold them."""

import click

from cli.parsing.lazy_group import LazyGroup
from shared.version import __version__

COMMANDS = {
    "vm": "cli.commands.vm.group:vm",
    "image": "cli.commands.image.group:image",
    "kernel": "cli.commands.kernel:kernel",
    "template": "cli.commands.template:template",
    "system": "cli.commands.system:system",
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
    """Create, use and discard Linux virtual machines.

    \b
    Examples:
      banger vm run --rm                # open a shell in a new VM, delete the VM at exit
      banger vm run --rm -- make test   # run a command in a new VM, exit with its status
      banger vm run -d --name web       # start a VM and leave it running
      banger vm ssh web                 # open a shell in a running VM
      banger doctor                     # check whether this machine can run VMs
    """
