"""``banger vm health``."""

from typing import TYPE_CHECKING

import click

from cli.client.batch import ask_each, report_failures
from cli.commands.vm.options.arguments import some_running_vms
from cli.terminal.output import Settings, entry, format_options, print_table, show_many
from shared.contract.verbs import api

if TYPE_CHECKING:
    from shared.contract.messages.vm import Check, Health

UNHEALTHY = 1
"""Exit status when a check failed."""

HEADER = ("VM", "CHECK", "STATUS", "TIME", "FOUND")


@click.command()
@some_running_vms
@format_options
@click.pass_obj
def health(settings: Settings, vms: tuple[str, ...], output: str, quiet: bool) -> int:
    """Check whether VMs work, on this host and inside the guest.

    Exits with 1 if a check fails.

    \b
    Examples:
      banger vm health web
      banger vm health web -o json | jq .[0].healthy
    """
    answers = ask_each(vms, lambda ref: api.VM_HEALTH(ref=ref))
    found, status = report_failures(answers, settings)
    if output == "table" and not quiet:
        print_table(HEADER, [_row(vm, check) for vm in found for check in vm.checks])
    else:
        show_many([entry(vm) for vm in found], {}, output, quiet=quiet)
    return status or (0 if all(vm.healthy for vm in found) else UNHEALTHY)


def _row(vm: "Health", check: "Check") -> list[str]:
    took = check.milliseconds
    return [
        vm.name,
        check.name,
        "ok" if check.ok else "FAILED",
        "-" if took is None else f"{took:.0f}ms",
        check.detail,
    ]
