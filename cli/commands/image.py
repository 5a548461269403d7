"""``banger image``: what VMs start from."""

from typing import Any

import click

from cli.commands.completion import buildable_images, image_names
from cli.parsing.lazy_group import LazyGroup
from cli.terminal.formatting import show_size, show_time
from cli.terminal.output import Settings, format_options, note, show_many, show_one

BUILD_SECONDS = 3600.0

COLUMNS = {
    "ID": lambda image: str(image["id"]),
    "NAME": lambda image: str(image["name"]),
    "ARCH": lambda image: str(image["arch"]),
    "FORMAT": lambda image: str(image["format"]),
    "SIZE": lambda image: show_size(image["size"]),
    "CREATED": lambda image: show_time(image["created"]),
}
DETAILS = {
    **COLUMNS,
    "SOURCE": lambda image: str(image["source"]),
    "PATH": lambda image: str(image["path"]),
}
OFFER = {
    "NAME": lambda entry: str(entry["name"]),
    "DESCRIPTION": lambda entry: str(entry["description"]),
}


def warn_broken(answer: dict[str, Any]) -> None:
    """A directory that cannot be read is told of, and never breaks the list."""
    for broken in answer.get("broken", []):
        note(f"warning: {broken['path']}: {broken['problem']}")


COMMANDS = {
    "list": "cli.commands.image:list_",
    "show": "cli.commands.image:show",
    "build": "cli.commands.image:build",
    "delete": "cli.commands.image:delete",
}


@click.group(cls=LazyGroup, lazy=COMMANDS, aliases={"ls": "list", "rm": "delete"})
def image() -> None:
    """Images: the root filesystems that VMs start from.

    \b
    Examples:
      banger image list
      banger image build debian-bookworm
      banger image build debian-bookworm --name py --include python3,python3-venv
    """


@click.command("list")
@click.option("--available", is_flag=True, help="What can be built instead of what is there.")
@format_options
def list_(available: bool, output: str, quiet: bool) -> None:
    """List the images on this machine.

    \b
    Examples:
      banger image list
      banger image list --available
    """
    from cli.client.connection import ask

    answer = ask("images", "image.list")
    warn_broken(answer)
    if available:
        offers = [{"id": entry["name"], **entry} for entry in answer["available"]]
        show_many(offers, OFFER, output, quiet=quiet)
    else:
        show_many(answer["images"], COLUMNS, output, quiet=quiet)


@click.command()
@click.argument("image", shell_complete=image_names)
@format_options
def show(image: str, output: str, quiet: bool) -> None:
    """Show one image.

    \b
    Example:
      banger image show debian-bookworm -o json
    """
    from cli.client.connection import ask

    show_one(ask("images", "image.show", {"ref": image}), DETAILS, output, quiet=quiet)


@click.command()
@click.argument("base", shell_complete=buildable_images)
@click.option("--force", is_flag=True, help="Build it even when it is there.")
@click.option(
    "--include",
    "packages",
    metavar="PKG[,PKG...]",
    multiple=True,
    help="Further packages of the distribution; may be repeated. Needs --name.",
)
@click.option("--name", "as_name", metavar="NAME", default="", help="What to call that image.")
@format_options
def build(
    base: str, force: bool, packages: tuple[str, ...], as_name: str, output: str, quiet: bool
) -> None:
    """Build an image of the catalogue on this machine.

    With --include it is a new image: BASE and further packages of the distribution, under a name
    of its own.

    \b
    Examples:
      banger image build debian-bookworm
      banger image build debian-bookworm --name py --include python3,python3-venv
      banger vm run --image py
    """
    from cli.client.operation import run_operation

    include = [word for option in packages for word in option.split(",")]
    body = {"name": base, "force": force, "as_name": as_name, "include": include}
    built = run_operation("images", "image.build", body, BUILD_SECONDS)
    show_one(built, DETAILS, output, quiet=quiet)


@click.command()
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True, shell_complete=image_names)
@format_options
@click.pass_obj
def delete(settings: Settings, images: tuple[str, ...], output: str, quiet: bool) -> int:
    """Delete images. VMs that use one prevent that.

    \b
    Example:
      banger image delete debian-bookworm
    """
    from cli.client.removal import delete_unused

    return delete_unused("image", images, settings, output, quiet=quiet)
