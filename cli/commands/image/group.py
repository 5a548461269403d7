"""``banger image``: what VMs start from."""

import click

from cli.parsing.lazy_group import LazyGroup

COMMANDS = {
    "list": "cli.commands.image.look:list_",
    "show": "cli.commands.image.look:show",
    "pull": "cli.commands.image.fetch:pull",
    "build": "cli.commands.image.build:build",
    "register": "cli.commands.image.fetch:register",
    "promote": "cli.commands.image.fetch:promote",
    "tag": "cli.commands.image.fetch:tag",
    "export": "cli.commands.image.archive:export",
    "import": "cli.commands.image.archive:import_",
    "delete": "cli.commands.image.remove:delete",
    "prune": "cli.commands.image.remove:prune",
}


@click.group(cls=LazyGroup, lazy=COMMANDS, aliases={"ls": "list", "rm": "delete"})
def image() -> None:
    """Manage images, the root filesystems that VMs start from.

    IMAGE is the name or the id of an image, or a unique prefix of one.

    \b
    Examples:
      banger image list
      banger image pull alpine:3.20
      banger image build debian-bookworm --name py --include python3,python3-venv
      banger image build -f Dockerfile --name app .
    """
