"""``banger image build``: an image of the catalogue, or one that a file describes."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.client.completers import buildable_images
from cli.client.operation import run_operation
from cli.commands.image.details import details_of
from cli.commands.vm.options.egress_option import egress_fields, egress_option
from cli.parsing.param_types import BuildArgument
from cli.terminal.output import entry, format_options, show_one
from shared.contract.verbs import api, images

if TYPE_CHECKING:
    from shared.contract.egress import Egress
    from shared.contract.messages.image import Image
    from shared.contract.verb import Request

TOML = ".toml"
DOCKERFILE = "Dockerfile"


@click.command()
@click.argument("what", metavar="[NAME|FILE.toml|DIR]", default="", shell_complete=buildable_images)
@click.option(
    "-f",
    "--file",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="A Dockerfile or a .toml file, by its path or by its path in DIR. Files to copy are taken "
    "from DIR (default: .).",
)
@click.option("--force", is_flag=True, help="Build the image even if it exists, without the cache.")
@click.option(
    "--include",
    "packages",
    metavar="PKG[,PKG...]",
    multiple=True,
    help="Additional packages for an image of the catalogue. Repeatable. Needs --name.",
)
@click.option(
    "-t", "--name", "as_name", metavar="NAME", default="", help="Name of the image that is built."
)
@click.option(
    "--build-arg",
    "arguments",
    type=BuildArgument(),
    multiple=True,
    help="A value for ARG of a Dockerfile: NAME=VALUE, or NAME for the value it has here. "
    "Repeatable.",
)
@click.option("--work-seed", is_flag=True, help="Keep what the steps leave in /root, too.")
@click.option("--nat/--no-nat", default=None, help="Whether the steps reach the outside.")
@egress_option
@format_options
@click.pass_context
def build(
    ctx: click.Context,
    /,
    what: str,
    file: str | None,
    force: bool,
    packages: tuple[str, ...],
    as_name: str,
    output: str,
    quiet: bool,
    **of_file: Any,
) -> None:
    """Build an image of the catalogue, or one that a file describes.

    With --include and --name, builds a new image that consists of the catalogue's and additional
    packages.

    FILE.toml and a Dockerfile describe steps, which are run in a VM; a step that was run before is
    not run again. They reach the outside only with --nat or --egress. Of a Dockerfile, FROM, RUN,
    COPY, ENV, WORKDIR, USER, CMD, ENTRYPOINT, ARG, EXPOSE and LABEL are known.

    \b
    Examples:
      banger image build debian-bookworm
      banger image build debian-bookworm --name py --include python3,python3-venv
      banger image build tools.toml --nat
      banger image build --name app .
      banger image build -f app.dockerfile --name app ./app
    """
    described, context = _described(what, file)
    _refuse_misplaced(ctx, {"include": packages} if described else of_file, bool(described))
    if described:
        if not Path(described).is_file():
            raise click.UsageError(f"there is no file {described}", ctx)
        request = _of_file(described, context, as_name, force, **of_file)
    elif what:
        include = [word for option in packages for word in option.split(",")]
        request = images.IMAGE_BUILD(name=what, force=force, as_name=as_name, include=include)
    else:
        raise click.UsageError("name an image of the catalogue or a file: -f FILE", ctx)
    built = run_operation(request)
    show_one(entry(built), details_of(built), output, quiet=quiet)


def _described(what: str, file: str | None) -> tuple[str, str]:
    """The file that describes the image, "" for one of the catalogue, and the directory that its
    copies come from. A directory is written as a path: a bare word is a name of the catalogue."""
    if file:
        context = Path(what or ".")
        in_context = not Path(file).is_file() and (context / file).is_file()
        return str(context / file if in_context else file), str(context)
    if what.endswith(TOML):
        return what, str(Path(what).parent)
    if what in (".", "..") or "/" in what:
        return str(Path(what) / DOCKERFILE), what
    return "", ""


def _refuse_misplaced(ctx: click.Context, options: Mapping[str, object], described: bool) -> None:
    """Options of the other kind of build."""
    for name, given in options.items():
        if given not in ((), None, False):
            option = "build-arg" if name == "arguments" else name.replace("_", "-")
            kind = "an image of the catalogue" if described else "a file that describes the image"
            raise click.UsageError(f"--{option} is for {kind}", ctx)


def _of_file(
    file: str,
    context: str,
    as_name: str,
    force: bool,
    *,
    arguments: tuple[tuple[str, str], ...],
    work_seed: bool,
    nat: bool | None,
    egress: "Egress | None",
) -> "Request[Image]":
    """``context``: the directory that its copies come from."""
    return api.IMAGE_BUILD(
        file=os.path.abspath(file),  # noqa: PTH100
        syntax="toml" if file.endswith(TOML) else "dockerfile",
        context=os.path.abspath(context),  # noqa: PTH100
        as_name=as_name,
        arguments=dict(arguments),
        force=force,
        work_seed=work_seed,
        **egress_fields(egress, nat),
    )
