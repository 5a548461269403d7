"""``banger version``."""

import click

from shared.version import __version__


@click.command()
def version() -> None:
    """Print the version.

    \b
    Example:
      banger version
    """
    click.echo(f"banger {__version__}")
