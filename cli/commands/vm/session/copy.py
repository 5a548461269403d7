"""``banger vm cp``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from cli.client.completers import places
from cli.parsing.param_types import Words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cli.guest.transfer.arriving import GuestPaths
    from cli.guest.transfer.outcome import CopyOutcome

PIPE = "-"


@click.command()
@click.argument(
    "words", metavar="SRC... DST", nargs=-1, required=True, type=Words(), shell_complete=places
)
@click.option("-L", "--follow-link", is_flag=True, help="Follow a symbolic link given as SRC.")
@click.option(
    "--glob",
    is_flag=True,
    help="Let the guest's shell expand *, ? and [ ] in SRC; DST is a directory.",
)
@click.option(
    "-u", "--user", metavar="USER", default="", help="Copy as this user of the VM, not as root."
)
@click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", help="Output format."
)
@click.pass_context
def cp(
    ctx: click.Context,
    words: tuple[str, ...],
    follow_link: bool,
    glob: bool,
    user: str,
    output: str,
) -> None:
    """Copy files and directories into a running VM, out of it, or between two VMs.

    A path in a VM is VM:PATH; a relative one starts at the user's home directory. If DST is an
    existing directory, SRC is copied into it, else under the name DST. DIR/. means what is in DIR.
    Symbolic links are copied as links. Modes, times, extended attributes and holes are kept; the
    copy belongs to the user who gets it. Write a local name that contains a colon as ./NAME.

    With - for SRC or DST, a tar stream is read from standard input or written to standard output.

    \b
    Examples:
      banger vm cp notes.txt site web:
      banger vm cp ./site/. web:/srv/site
      banger vm cp web:/var/log/syslog .
      banger vm cp --glob 'web:/var/log/*.log' logs/
      banger vm cp web:/srv/site - | tar t
    """
    from cli.guest.transfer.outcome import CopyOutcome
    from cli.terminal.progress import Progress
    from cli.terminal.signals import interrupts_raise

    *sources, target = words
    if not sources:
        raise click.UsageError("missing argument: SRC... DST", ctx)
    with interrupts_raise(), Progress() as progress:
        outcome = CopyOutcome(progress if sys.stderr.isatty() else lambda _: None)
        _copy(ctx, sources, target, outcome, follow=follow_link, glob=glob, user=user)
    outcome.finish()
    if output == "json":
        import json

        result = {"sources": sources, "target": target, "files": outcome.files}
        click.echo(json.dumps(result | {"bytes": outcome.size}))


def split(place: str) -> tuple[str, str] | None:
    """(VM, path) of "VM:PATH"; None for a path on this machine, as with scp(1)."""
    vm, colon, path = place.partition(":")
    return (vm, path) if colon and vm and "/" not in vm else None


def _copy(
    ctx: click.Context,
    sources: Sequence[str],
    target: str,
    to: CopyOutcome,
    *,
    follow: bool,
    glob: bool,
    user: str,
) -> None:
    from cli.commands.vm.session.shell import reach
    from cli.guest.transfer import copying
    from cli.guest.transfer.local_tree import LocalSource
    from cli.guest.transfer.receiving import GuestPlace

    inside = split(target)
    guest = _guest_paths(ctx, sources, follow=follow, glob=glob, user=user)
    if guest is None and inside is None:
        raise click.UsageError("SRC or DST must be VM:PATH", ctx)
    if guest is None and glob:
        raise click.UsageError("--glob is for SRC in a VM; your shell expands local names", ctx)
    if guest and inside:
        access = reach(inside[0])
        if access.alias == guest.access.alias:
            raise click.UsageError(
                f"both are in {inside[0]}: use banger vm exec {inside[0]} -- cp -a", ctx
            )
        copying.relay(guest, GuestPlace(access, inside[1], user), to)
    elif guest and target == PIPE:
        if sys.stdout.isatty():
            raise click.UsageError("a tar stream is not for a terminal: put a pipe after it", ctx)
        copying.pour_out(guest, sys.stdout.fileno(), to)
    elif guest:
        copying.download(guest, target, to)
    elif inside and PIPE in sources:
        if len(sources) > 1:
            raise click.UsageError("- is the only SRC where it is given", ctx)
        copying.pour_in(sys.stdin.fileno(), GuestPlace(reach(inside[0]), inside[1], user), to)
    elif inside:
        local = [LocalSource(each, follow=follow) for each in sources]
        copying.upload(local, GuestPlace(reach(inside[0]), inside[1], user), to)


def _guest_paths(
    ctx: click.Context, sources: Sequence[str], *, follow: bool, glob: bool, user: str
) -> GuestPaths | None:
    """The sources, where they are in a VM. Raises ``usage`` for a path that is not given."""
    from cli.guest.transfer.plan import check_path_given

    found = [split(each) for each in sources]
    vms = {each[0] if each else None for each in found}
    if len(vms) > 1:
        raise click.UsageError("the sources must be in one VM, or all on this host", ctx)
    if vms == {None}:
        return None
    from cli.commands.vm.session.shell import reach
    from cli.guest.transfer.arriving import GuestPaths

    paths = [each[1] for each in found if each]
    for place, path in zip(sources, paths, strict=True):
        check_path_given(place, path)
    return GuestPaths(reach(vms.pop() or ""), paths, follow=follow, glob=glob, user=user)
