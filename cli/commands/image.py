"""``banger image``: what VMs start from."""

from typing import TYPE_CHECKING

import click

from cli.client.batch import ask_exactly, print_outcomes
from cli.client.completers import buildable_images, image_names
from cli.commands.library import show_offers, warn_broken
from cli.parsing.lazy_group import AliasGroup
from cli.terminal.formatting import show_size, show_time
from cli.terminal.output import Columns, Settings, entry, format_options, show_many, show_one
from shared.contract.verbs.api import IMAGE_DELETE
from shared.contract.verbs.images import IMAGE_BUILD, IMAGE_LIST, IMAGE_SHOW

if TYPE_CHECKING:
    from shared.contract.messages.image import Image

COLUMNS: "Columns[Image]" = {
    "ID": lambda image: image.id,
    "NAME": lambda image: image.name,
    "ARCH": lambda image: image.arch,
    "FORMAT": lambda image: image.format,
    "SIZE": lambda image: show_size(image.size),
    "CREATED": lambda image: show_time(image.created),
}
DETAILS: "Columns[Image]" = {
    **COLUMNS,
    "SOURCE": lambda image: image.source,
    "PATH": lambda image: image.path,
}


@click.group(cls=AliasGroup, aliases={"ls": "list", "rm": "delete"})
def image() -> None:
    """Manage images, the root filesystems that VMs start from.

    \b
    Examples:
      banger image list
      banger image build debian-bookworm
      banger image build debian-bookworm --name py --include python3,python3-venv
    """


@image.command("list")
@click.option("--available", is_flag=True, help="List the images that can be built instead.")
@format_options
def list_(available: bool, output: str, quiet: bool) -> None:
    """List the images on this machine.

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


@image.command()
@click.argument("image", shell_complete=image_names)
@format_options
def show(image: str, output: str, quiet: bool) -> None:
    """Show the details of an image.

    \b
    Example:
      banger image show debian-bookworm -o json
    """
    from cli.client.connection import ask

    shown = ask(IMAGE_SHOW(ref=image))
    show_one(entry(shown), DETAILS, output, quiet=quiet)


@image.command()
@click.argument("base", shell_complete=buildable_images)
@click.option("--force", is_flag=True, help="Build the image even if it exists.")
@click.option(
    "--include",
    "packages",
    metavar="PKG[,PKG...]",
    multiple=True,
    help="Additional packages of the distribution. Repeatable. Needs --name.",
)
@click.option(
    "--name",
    "as_name",
    metavar="NAME",
    default="",
    help="Name of the image with additional packages.",
)
@format_options
def build(
    base: str, force: bool, packages: tuple[str, ...], as_name: str, output: str, quiet: bool
) -> None:
    """Build an image of the catalogue.

    With --include and --name, builds a new image that consists of BASE and additional packages.

    \b
    Examples:
      banger image build debian-bookworm
      banger image build debian-bookworm --name py --include python3,python3-venv
      banger vm run --image py
    """
    from cli.client.operation import run_operation

    include = [word for option in packages for word in option.split(",")]
    built = run_operation(IMAGE_BUILD(name=base, force=force, as_name=as_name, include=include))
    show_one(entry(built), DETAILS, output, quiet=quiet)


@image.command()
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True, shell_complete=image_names)
@format_options
@click.pass_obj
def delete(settings: Settings, images: tuple[str, ...], output: str, quiet: bool) -> int:
    """Delete images. An image that a VM uses is not deleted.

    \b
    Example:
      banger image delete debian-bookworm
    """
    outcomes = ask_exactly(images, lambda ref: IMAGE_DELETE(ref=ref))
    return print_outcomes(outcomes, settings, output, quiet=quiet)
