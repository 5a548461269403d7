"""``banger template``: the saved guests that new VMs begin as copies of."""

from typing import TYPE_CHECKING

import click

from cli.client.completers import template_keys
from cli.parsing.lazy_group import AliasGroup
from cli.terminal.formatting import counted, show_size, show_time
from cli.terminal.output import (
    Columns,
    ListEntry,
    echo,
    format_options,
    note,
    output_format,
    print_json,
    show_many,
    show_one,
)
from shared.bus.record import fields_of
from shared.contract.verbs.api import TEMPLATE_LIST, TEMPLATE_PRUNE, TEMPLATE_SHOW

if TYPE_CHECKING:
    from shared.contract.messages.template import Template

COLUMNS: "Columns[Template]" = {
    "KEY": lambda template: template.key,
    "IMAGE": lambda template: template.image_name or "-",
    "VCPU": lambda template: str(template.vcpu),
    "MEM": lambda template: show_size(template.memory_mib * 1024 * 1024),
    "DISK": lambda template: show_size(template.disk_bytes),
    "SIZE": lambda template: show_size(template.real_bytes),
    "USES": lambda template: str(template.uses),
    "USED": lambda template: show_time(template.used_at),
    "PROBLEM": lambda template: "; ".join(template.problems) or "-",
}
DETAILS: "Columns[Template]" = {
    **COLUMNS,
    "OVERLAY": lambda template: show_size(template.overlay_bytes),
    "MADE": lambda template: show_time(template.made_at) if template.made_at else "-",
    "WAITING": lambda template: str(template.pool),
    "IMAGE ID": lambda template: template.image_id or "-",
    "KERNEL": lambda template: template.kernel_id or "-",
    "VMM": lambda template: f"{template.vmm} {template.vmm_version}".strip() or "-",
    "ACCEL": lambda template: template.accel or "-",
    "CPU": lambda template: template.cpu or "-",
}


@click.group(cls=AliasGroup, aliases={"ls": "list"})
def template() -> None:
    """List, show and delete templates, which new VMs start from.

    A template is a saved guest that has booted and that nobody has used. It is made in the
    background while the machine is idle, after a VM of the same image, kernel and sizes has booted.
    The next such VM starts as a copy of it, in about a second.

    \b
    Examples:
      banger template list
      banger template prune --all
    """


@template.command("list")
@format_options
def list_(output: str, quiet: bool) -> None:
    """List the templates.

    SIZE is the space that a template takes on disk. USES is the number of VMs that were made from
    it, and USED the time of the last one.

    \b
    Examples:
      banger template list
      banger template list -o json | jq '.[].uses'
    """
    from cli.client.connection import ask

    templates = ask(TEMPLATE_LIST()).templates
    show_many([_entry(each) for each in templates], COLUMNS, output, quiet=quiet)


def _entry(template: "Template") -> "ListEntry[Template]":
    return ListEntry(template.key, template.key, fields_of(template), template)


@template.command()
@click.argument("key", shell_complete=template_keys)
@format_options
def show(key: str, output: str, quiet: bool) -> None:
    """Show the details of a template, and check its files.

    The beginning of a key is enough. WAITING is the number of VMs in the warm pool that were made
    from the template.

    \b
    Example:
      banger template show 3f2a
    """
    from cli.client.connection import ask

    show_one(_entry(ask(TEMPLATE_SHOW(ref=key))), DETAILS, output, quiet=quiet)


@template.command()
@click.option("--all", "every", is_flag=True, help="Delete all templates.")
@click.option("--dry-run", is_flag=True, help="Only list what would be deleted.")
@output_format
def prune(every: bool, dry_run: bool, output: str) -> None:
    """Delete templates that no VM will start from.

    These are templates whose image, kernel, VMM, processor or version of banger has changed, that
    are too old, or that have not been used for a week. VMs of the warm pool that were made from a
    deleted template are deleted too. Does not ask for confirmation: templates have no data of
    users, and are made again when they are needed.

    \b
    Examples:
      banger template prune --dry-run
      banger template prune --all
    """
    from cli.client.connection import ask

    done = ask(TEMPLATE_PRUNE(all=every, dry_run=dry_run))
    if output == "json":
        print_json(fields_of(done))
        return
    for item in done.pruned:
        echo(item.name)
    things = counted(len(done.pruned), "template")
    note(f"{things}, {show_size(done.real_bytes)}" if done.pruned else "Nothing to prune.")
