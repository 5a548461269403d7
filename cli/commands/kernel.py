"""``banger kernel``: what VMs boot."""

import click

from cli.commands.completion import available_kernels, kernel_names
from cli.commands.image import OFFER, warn_broken
from cli.parsing.lazy_group import LazyGroup
from cli.terminal.formatting import show_size, show_time
from cli.terminal.output import Settings, format_options, show_many, show_one

PULL_SECONDS = 3600.0

COLUMNS = {
    "ID": lambda kernel: str(kernel["id"]),
    "NAME": lambda kernel: str(kernel["name"]),
    "VERSION": lambda kernel: str(kernel["version"]),
    "ARCH": lambda kernel: str(kernel["arch"]),
    "SIZE": lambda kernel: show_size(kernel["size"]),
    "CREATED": lambda kernel: show_time(kernel["created"]),
}
DETAILS = {
    **COLUMNS,
    "SOURCE": lambda kernel: str(kernel["source"]),
    "PATH": lambda kernel: str(kernel["path"]),
}


COMMANDS = {
    "list": "cli.commands.kernel:list_",
    "show": "cli.commands.kernel:show",
    "pull": "cli.commands.kernel:pull",
    "delete": "cli.commands.kernel:delete",
}


@click.group(cls=LazyGroup, lazy=COMMANDS, aliases={"ls": "list", "rm": "delete"})
def kernel() -> None:
    """Kernels that VMs boot.

    \b
    Examples:
      banger kernel list --available
      banger kernel pull debian-bookworm
    """


@click.command("list")
@click.option("--available", is_flag=True, help="What can be pulled instead of what is there.")
@format_options
def list_(available: bool, output: str, quiet: bool) -> None:
    """List the kernels on this machine.

    \b
    Examples:
      banger kernel list
      banger kernel list --available
    """
    from cli.client.connection import ask

    answer = ask("images", "kernel.list")
    warn_broken(answer)
    if available:
        offers = [{"id": entry["name"], **entry} for entry in answer["available"]]
        show_many(offers, OFFER, output, quiet=quiet)
    else:
        show_many(answer["kernels"], COLUMNS, output, quiet=quiet)


@click.command()
@click.argument("kernel", shell_complete=kernel_names)
@format_options
def show(kernel: str, output: str, quiet: bool) -> None:
    """Show one kernel.

    \b
    Example:
      banger kernel show debian-bookworm
    """
    from cli.client.connection import ask

    show_one(ask("images", "kernel.show", {"ref": kernel}), DETAILS, output, quiet=quiet)


@click.command()
@click.argument("name", shell_complete=available_kernels)
@click.option("--force", is_flag=True, help="Pull it even when it is there.")
@format_options
def pull(name: str, force: bool, output: str, quiet: bool) -> None:
    """Fetch a kernel of the catalogue.

    \b
    Example:
      banger kernel pull debian-bookworm
    """
    from cli.client.operation import run_operation

    body = {"name": name, "force": force}
    pulled = run_operation("images", "kernel.pull", body, PULL_SECONDS)
    show_one(pulled, DETAILS, output, quiet=quiet)


@click.command()
@click.argument(
    "kernels", metavar="KERNEL...", nargs=-1, required=True, shell_complete=kernel_names
)
@format_options
@click.pass_obj
def delete(settings: Settings, kernels: tuple[str, ...], output: str, quiet: bool) -> int:
    """Delete kernels. VMs that boot one prevent that.

    \b
    Example:
      banger kernel delete debian-bookworm
    """
    from cli.client.removal import delete_unused

    return delete_unused("kernel", kernels, settings, output, quiet=quiet)
