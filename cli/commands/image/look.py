"""``banger image list`` and ``banger image show``."""

from typing import TYPE_CHECKING

import click

from cli.client.completers import image_names
from cli.commands.image.details import COLUMNS, details_of
from cli.commands.library import show_offers, warn_broken
from cli.terminal.output import entry, format_options, show_many, show_one
from shared.contract.verbs.api import IMAGE_SHOW
from shared.contract.verbs.images import IMAGE_LIST

if TYPE_CHECKING:
    from shared.contract.messages.image import Image


@click.command("list")
@click.option("--available", is_flag=True, help="List the images of the catalogue instead.")
@format_options
def list_(available: bool, output: str, quiet: bool) -> None:
    """List the images on this machine.

    SIZE is what an image occupies on the disk. An image that was built on another one has its own
    part only.

    \b
    Examples:
      banger image list
      banger image list --available
    """
    from cli.client.connection import ask

    answer = ask(IMAGE_LIST())
    warn_broken(answer.broken)
    if available:
        show_offers(answer.available, output, quiet=quiet)
    else:
        show_many([entry(each) for each in answer.images], COLUMNS, output, quiet=quiet)


@click.command()
@click.argument("image", shell_complete=image_names)
@format_options
def show(image: str, output: str, quiet: bool) -> None:
    """Show the details of an image: its layers, where it comes from, and the VMs that use it.

    \b
    Examples:
      banger image show debian-bookworm
      banger image show alpine:3.20 -o json | jq .config.env
    """
    from cli.client.connection import ask

    shown: Image = ask(IMAGE_SHOW(ref=image))
    show_one(entry(shown), details_of(shown), output, quiet=quiet)
