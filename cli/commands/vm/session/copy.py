"""``banger vm cp``."""

import json
from pathlib import Path

import click

from cli.client.completers import places
from cli.parsing.param_types import Words


@click.command()
@click.argument("source", metavar="SRC", type=Words(), shell_complete=places)
@click.argument("target", metavar="DST", type=Words(), shell_complete=places)
@click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", help="Output format."
)
@click.pass_context
def cp(ctx: click.Context, source: str, target: str, output: str) -> None:
    """Copy a file or a directory into a running VM, or out of it.

    One of SRC and DST is VM:PATH; a relative PATH starts at /root. If DST is an existing directory,
    SRC is copied into it, else under the name DST. Modes and times are kept, symbolic links are
    followed. Write a local name that contains a colon as ./NAME.

    \b
    Examples:
      banger vm cp notes.txt web:
      banger vm cp ./site web:/srv/site
      banger vm cp web:/var/log/syslog .
    """
    from cli.commands.vm.session.shell import reach
    from cli.guest.copy import download, upload

    inside_from, inside_to = split(source), split(target)
    if inside_to and not inside_from:
        local = Path(source)
        if not local.exists():
            raise _missing(source)
        upload(reach(inside_to[0]), local, inside_to[1])
    elif inside_from and not inside_to:
        download(reach(inside_from[0]), inside_from[1], Path(target))
    else:
        raise click.UsageError("one of SRC and DST must be VM:PATH, the other a local path", ctx)
    if output == "json":
        click.echo(json.dumps({"source": source, "target": target}))


def split(place: str) -> tuple[str, str] | None:
    """(VM, path) of "VM:PATH"; None for a path on this machine, as with scp(1)."""
    vm, colon, path = place.partition(":")
    return (vm, path) if colon and vm and "/" not in vm else None


def _missing(path: str) -> Exception:
    from shared.errors import BangerError, Code

    return BangerError(
        Code.NOT_FOUND, f"there is no file {path}", hint="write a path in a VM as VM:PATH"
    )
