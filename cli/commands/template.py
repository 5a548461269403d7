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
    """Look at templates, which new VMs begin as copies of.

    A template of an image is made while the machine is idle, after a VM of it was booted. The next
    VM of that image, kernel and size starts from it within a second.

    \b
    Examples:
      banger template list
      banger template prune --all
    """


@template.command("list")
@format_options
def list_(output: str, quiet: bool) -> None:
    """List the templates.

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
    """Show the details of a template. Its files are read to find damage.

    The beginning of the key is enough.

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
    """Delete templates that no VM will start from: damaged, too old, or of an image that is gone.

    Does not ask for confirmation: nobody's work is in a template. One is made again when it is
    wanted.

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
