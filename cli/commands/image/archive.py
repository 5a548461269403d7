"""``banger image export`` and ``banger image import``: images as files."""

import os
import stat
import sys

import click

from cli.client.completers import image_names
from cli.client.operation import run_operation
from cli.commands.image.details import details_of
from cli.commands.image.fetch import as_name
from cli.terminal.formatting import show_size
from cli.terminal.output import entry, format_options, note, show_one
from shared.contract.verbs.images import IMAGE_EXPORT, IMAGE_IMPORT
from shared.errors import BangerError, Code

STANDARD = "-"


@click.command()
@click.argument("image", shell_complete=image_names)
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@click.pass_context
def export(ctx: click.Context, /, image: str, file: str) -> None:
    """Write an image and the images below it into FILE, or to standard output with -.

    FILE appears when it is whole. It is a tar archive, compressed with zstd, that holds a checksum
    of each of its parts; banger image import reads it.

    \b
    Examples:
      banger image export py py.tar.zst
      banger image export py - | ssh other banger image import -
    """
    from cli.terminal.output_file import output_file, unnamed_file

    if file == STANDARD and sys.stdout.isatty():
        raise click.UsageError("an image is not written to a terminal: name a file", ctx)
    with unnamed_file() if file == STANDARD else output_file(file) as draft:
        done = run_operation(IMAGE_EXPORT(ref=image, output=draft.address))
        if file == STANDARD:
            draft.copy_to(sys.stdout.buffer)
    note(f"Exported {done.name or done.id}: {show_size(done.size)}.")


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@as_name
@format_options
def import_(file: str, as_name: str, output: str, quiet: bool) -> None:
    """Read an image from FILE, or from standard input with -.

    FILE is what banger image export or docker save has written. A damaged one is refused, and
    nothing of it stays.

    \b
    Examples:
      banger image import py.tar.zst
      docker save app | banger image import - --name app
    """
    path = _standard_input() if file == STANDARD else os.path.abspath(file)  # noqa: PTH100
    read = run_operation(IMAGE_IMPORT(file=path, name=as_name))
    show_one(entry(read), details_of(read), output, quiet=quiet)


def _standard_input() -> str:
    """The path by which the service opens it: /proc/PID/fd/0, proc(5)."""
    mode = os.fstat(0).st_mode
    if not stat.S_ISFIFO(mode) and not stat.S_ISREG(mode):
        raise BangerError(
            Code.USAGE,
            "standard input is neither a pipe nor a file",
            hint="name the file, or: cat FILE | banger image import -",
        )
    return f"/proc/{os.getpid()}/fd/0"
