"""``banger vm logs``."""

import sys
from pathlib import Path

import click

from cli.client.completers import vm_names
from shared.contract.verbs import api
from shared.vm import files


@click.command()
@click.argument("vm", shell_complete=vm_names)
@click.option("-f", "--follow", is_flag=True, help="Print new output as it appears, until Ctrl-C.")
@click.option("--supervisor", is_flag=True, help="Print the log of the supervisor process instead.")
def logs(vm: str, follow: bool, supervisor: bool) -> None:
    """Print the console output of a VM.

    \b
    Examples:
      banger vm logs web
      banger vm logs web -f
      banger vm logs web --supervisor
    """
    from cli.client.connection import ask
    from cli.terminal.log_lines import show
    from cli.terminal.tail import lines, read
    from shared.paths import Paths

    view = ask(api.VM_SHOW(ref=vm))
    state = Paths.from_environment().vm_state(view.vm.id)
    if supervisor:
        for line in lines(state / files.SUPERVISOR_LOG, follow=follow):
            click.echo(show(line))
        return
    for chunk in read(Path(view.console_log or state / files.CONSOLE_LOG), follow=follow):
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
