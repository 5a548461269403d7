"""``banger vm logs``."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from cli.client.completers import vm_names
from shared.contract.verbs import api
from shared.vm import files


@click.command()
@click.argument("vm", shell_complete=vm_names)
@click.option("-f", "--follow", is_flag=True, help="Print new output as it appears, until Ctrl-C.")
@click.option("--supervisor", is_flag=True, help="Print the log of the supervisor process instead.")
@click.option(
    "--raw", is_flag=True, help="Print the guest's escape sequences on the terminal, too."
)
def logs(vm: str, follow: bool, supervisor: bool, raw: bool) -> None:
    """Print the console output of a VM.

    On a terminal, escape sequences and other control characters are left out, because the guest
    could control the terminal with them. A file or a pipe gets the output unchanged.

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
    output = read(Path(view.console_log or state / files.CONSOLE_LOG), follow=follow)
    for chunk in output if raw or not sys.stdout.isatty() else _printed(output):
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()


def _printed(output: Iterable[bytes]) -> Iterator[bytes]:
    """The same as text that a terminal only prints."""
    from cli.terminal.console_text import ConsoleText

    text = ConsoleText()
    for chunk in output:
        yield text.feed(chunk).encode()
    yield text.rest().encode()
