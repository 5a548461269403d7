"""The VMs that a command is about, as arguments that the shell completes."""

import click

from cli.client.completers import running_vms, vm_names

one_vm = click.argument("vm", metavar="VM", shell_complete=vm_names)
one_running_vm = click.argument("vm", metavar="VM", shell_complete=running_vms)
some_vms = click.argument("vms", metavar="VM...", nargs=-1, required=True, shell_complete=vm_names)
some_running_vms = click.argument(
    "vms", metavar="VM...", nargs=-1, required=True, shell_complete=running_vms
)
