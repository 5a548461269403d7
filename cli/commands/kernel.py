"""``banger kernel``: what VMs boot."""

import os
from typing import TYPE_CHECKING

import click

from cli.client.batch import ask_exactly, print_outcomes
from cli.client.completers import available_kernels, kernel_names
from cli.commands.library import show_offers, warn_broken
from cli.parsing.lazy_group import AliasGroup
from cli.terminal.formatting import show_size, show_time
from cli.terminal.output import Columns, Settings, entry, format_options, show_many, show_one
from shared.contract.verbs.api import KERNEL_DELETE
from shared.contract.verbs.images import KERNEL_IMPORT, KERNEL_LIST, KERNEL_PULL, KERNEL_SHOW

if TYPE_CHECKING:
    from shared.contract.messages.image import Kernel

COLUMNS: "Columns[Kernel]" = {
    "ID": lambda kernel: kernel.id,
    "NAME": lambda kernel: kernel.name,
    "VERSION": lambda kernel: kernel.version,
    "ARCH": lambda kernel: kernel.arch,
    "SIZE": lambda kernel: show_size(kernel.size),
    "CREATED": lambda kernel: show_time(kernel.created),
}
DETAILS: "Columns[Kernel]" = {
    **COLUMNS,
    "SOURCE": lambda kernel: kernel.source,
    "PATH": lambda kernel: kernel.path,
}


@click.group(cls=AliasGroup, aliases={"ls": "list", "rm": "delete"})
def kernel() -> None:
    """Manage kernels, which VMs boot.

    \b
    Examples:
      banger kernel list --available
      banger kernel pull debian-bookworm
    """


@kernel.command("list")
@click.option("--available", is_flag=True, help="List the kernels that can be downloaded instead.")
@format_options
def list_(available: bool, output: str, quiet: bool) -> None:
    """List the kernels on this machine.

    \b
    Examples:
      banger kernel list
      banger kernel list --available
    """
    from cli.client.connection import ask

    answer = ask(KERNEL_LIST())
    warn_broken(answer.broken)
    if available:
        show_offers(answer.available, output, quiet=quiet)
    else:
        show_many([entry(each) for each in answer.kernels], COLUMNS, output, quiet=quiet)


@kernel.command()
@click.argument("kernel", shell_complete=kernel_names)
@format_options
def show(kernel: str, output: str, quiet: bool) -> None:
    """Show the details of a kernel.

    \b
    Example:
      banger kernel show debian-bookworm
    """
    from cli.client.connection import ask

    shown = ask(KERNEL_SHOW(ref=kernel))
    show_one(entry(shown), DETAILS, output, quiet=quiet)


@kernel.command()
@click.argument("name", shell_complete=available_kernels)
@click.option("--force", is_flag=True, help="Download the kernel even if it exists.")
@format_options
def pull(name: str, force: bool, output: str, quiet: bool) -> None:
    """Download a kernel of the catalogue. One of an older revision is replaced.

    \b
    Example:
      banger kernel pull debian-bookworm
    """
    from cli.client.operation import run_operation

    pulled = run_operation(KERNEL_PULL(name=name, force=force))
    show_one(entry(pulled), DETAILS, output, quiet=quiet)


@kernel.command("import")
@click.argument("directory", metavar="DIR", type=click.Path(exists=True, file_okay=False))
@click.option(
    "--name", "as_name", metavar="NAME", default="", help="Name of the kernel. Default: its own."
)
@format_options
def import_(directory: str, as_name: str, output: str, quiet: bool) -> None:
    """Read a kernel from a directory.

    DIR holds vmlinuz and modules/VERSION, or is the directory of a kernel of another machine
    (banger kernel show names it).

    \b
    Example:
      banger kernel import ./linux-6.12 --name mine
    """
    from cli.client.operation import run_operation

    path = os.path.abspath(directory)  # noqa: PTH100 - a link in it stays one
    read = run_operation(KERNEL_IMPORT(directory=path, name=as_name))
    show_one(entry(read), DETAILS, output, quiet=quiet)


@kernel.command()
@click.argument(
    "kernels", metavar="KERNEL...", nargs=-1, required=True, shell_complete=kernel_names
)
@format_options
@click.pass_obj
def delete(settings: Settings, kernels: tuple[str, ...], output: str, quiet: bool) -> int:
    """Delete kernels. A kernel that a VM uses is not deleted.

    \b
    Example:
      banger kernel delete debian-bookworm
    """
    outcomes = ask_exactly(kernels, lambda ref: KERNEL_DELETE(ref=ref))
    return print_outcomes(outcomes, settings, output, quiet=quiet)
