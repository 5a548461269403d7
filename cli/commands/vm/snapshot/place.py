"""Which snapshot a command line means: VM NAME, or VM/NAME in one word."""

from collections.abc import Sequence

import click

from cli.client.completers import snapshot_names, snapshots_or_vms

its_vm = click.argument("vm", metavar="VM", shell_complete=snapshots_or_vms)
its_name = click.argument("name", metavar="NAME", required=False, shell_complete=snapshot_names)
its_names = click.argument("names", metavar="NAME...", nargs=-1, shell_complete=snapshot_names)


def split(source: str) -> tuple[str, str]:
    """VM and snapshot of ``source``: "web/clean" is ("web", "clean"), "web" is ("web", "")."""
    vm, _, name = source.partition("/")
    return vm, name


def one_snapshot(vm: str, name: str | None) -> tuple[str, str]:
    """VM and name. Raises ``UsageError`` unless exactly one snapshot is named."""
    vm, names = some_snapshots(vm, [name] if name is not None else [])
    if len(names) != 1:
        raise click.UsageError(f"one snapshot is expected, not {vm}/{names[0]} and {names[1]}")
    return vm, names[0]


def some_snapshots(vm: str, names: Sequence[str]) -> tuple[str, list[str]]:
    """VM and names, at least one, which may be written VM/NAME. Raises ``UsageError`` when none is
    named."""
    vm, first = split(vm)
    named = [name.removeprefix(f"{vm}/") for name in ([first, *names] if first else names)]
    if not named:
        ctx = click.get_current_context()
        raise click.UsageError(f"name a snapshot; list them: banger vm snapshot list {vm}", ctx)
    return vm, named
