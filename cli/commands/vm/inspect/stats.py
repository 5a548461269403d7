"""``banger vm stats``."""

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from cli.client.batch import ask_each, ask_exactly, report_failures
from cli.client.completers import running_vms
from cli.terminal.formatting import show_seconds, show_size
from cli.terminal.output import (
    Settings,
    entry,
    format_options,
    print_lines,
    print_table,
    show_many,
    table_lines,
)
from shared.bus.record import fields_of
from shared.contract.reference import by_id
from shared.contract.verbs import api

if TYPE_CHECKING:
    from shared.contract.messages.vm import VmStats
    from shared.contract.verb import Request
    from shared.errors import BangerError

PAUSE_SECONDS = 0.5
"""Between the two samples of a rate."""
WATCH_SECONDS = 2.0

UP_AND_CLEAR = "\x1b[{}A\x1b[J"
"""Cursor up by so many lines, and clear what is below (ECMA-48: CUU, ED)."""

Sample = dict[str, "VmStats"]
"""By VM id."""

HEADER = ("NAME", "STATE", "CPU", "MEM", "UNIQUE", "DISK", "SAVED", "NET IN", "NET OUT", "UPTIME")


@click.command()
@click.argument("vms", metavar="[VM...]", nargs=-1, shell_complete=running_vms)
@click.option("--watch", is_flag=True, help="Refresh every 2 seconds until Ctrl-C.")
@format_options
@click.pass_context
def stats(ctx: click.Context, vms: tuple[str, ...], watch: bool, output: str, quiet: bool) -> int:
    """Show the resource usage of VMs. Without VM, shows all running VMs.

    CPU is the percentage of one host processor, measured over half a second. MEM and DISK: used on
    this host / configured size. MEM leaves out what the VMM itself takes. UNIQUE: the part of MEM
    that no other VM shares. SAVED: the disk space of snapshots and of the memory of a suspended VM.
    JSON output has one sample for each VM; the CPU usage is the difference of cpu_seconds between
    two samples. With --watch, output that does not go to a terminal is JSON, one sample per line.

    \b
    Examples:
      banger vm stats
      banger vm stats web -o json | jq '.[].resident_bytes'
      banger vm stats --watch
    """
    settings: Settings = ctx.obj
    if watch and (quiet or output == "name"):
        raise click.UsageError("--watch cannot be combined with -q or -o name", ctx)
    if watch:
        return _watch(vms, settings, in_place=output == "table" and sys.stdout.isatty())
    sample, status = _sample(vms, settings)
    if output == "table" and not quiet:
        before = sample
        if any(each.cpu_seconds is not None for each in sample.values()):
            time.sleep(PAUSE_SECONDS)
            sample, later = _sample_again(sample, settings)
            status = status or later
        print_table(HEADER, table(before, sample))
    else:
        show_many([entry(each) for each in sample.values()], {}, output, quiet=quiet)
    return status


def _sample(refs: Sequence[str], settings: Settings) -> tuple[Sample, int]:
    """One sample of each VM, of all that run without ``refs``; and the exit status.

    What fails is reported.
    """
    outcomes = ask_each(refs, _request) if refs else ask_exactly(_running(), _request)
    return _samples(outcomes, settings)


def _sample_again(before: Sample, settings: Settings) -> tuple[Sample, int]:
    """One sample of each VM that is in ``before``."""
    outcomes = ask_exactly(map(by_id, before), _request)
    return _samples(outcomes, settings)


def _request(ref: str) -> "Request[VmStats]":
    return api.VM_STATS(ref=ref)


def _samples(
    outcomes: "Mapping[str, VmStats | BangerError]", settings: Settings
) -> tuple[Sample, int]:
    found, status = report_failures(outcomes, settings)
    return {each.id: each for each in found}, status


def _running() -> list[str]:
    from cli.client.connection import ask

    vms = [view.vm for view in ask(api.VM_LIST()).vms]
    return [by_id(vm.id) for vm in vms if vm.state == "running"]


def _watch(refs: Sequence[str], settings: Settings, *, in_place: bool) -> int:
    """Sample until a signal comes, or until all named VMs are gone."""
    before: Sample = {}
    drawn = 0
    while True:
        # A named VM that is gone is reported once.
        again = refs and before
        sample, status = _sample_again(before, settings) if again else _sample(refs, settings)
        if refs and not sample:
            return status
        if in_place:
            click.echo(UP_AND_CLEAR.format(drawn) if drawn else "", nl=False)
            lines = fitting(table_lines(HEADER, table(before, sample)))
            print_lines(lines)
            drawn = len(lines)
        else:
            for each in sample.values():
                click.echo(json.dumps(fields_of(each)))
        before = sample
        time.sleep(WATCH_SECONDS)


def fitting(lines: Sequence[str]) -> list[str]:
    """Cut to the size of the terminal, since wrapped or scrolled lines cannot be redrawn."""
    width, height = os.get_terminal_size(sys.stdout.fileno())
    return [line[: width or None] for line in lines[: height - 1 if height else None]]


def table(before: Sample, after: Sample) -> list[list[str]]:
    """The rows under ``HEADER``."""
    return [
        [
            vm.name,
            vm.state,
            show_rate(before.get(vm_id), vm),
            f"{_size(_memory(vm))} / {show_size(vm.memory_bytes)}",
            _size(vm.unique_memory_bytes),
            f"{show_size(vm.disk_allocated)} / {show_size(vm.disk_apparent)}",
            _size(vm.saved_bytes or None),
            _size(vm.received_bytes),
            _size(vm.sent_bytes),
            "-" if vm.uptime is None else show_seconds(vm.uptime),
        ]
        for vm_id, vm in after.items()
    ]


def show_rate(before: "VmStats | None", after: "VmStats") -> str:
    """Processor time used between two samples, in percent of one processor: "12%"."""
    if before is None or before.cpu_seconds is None or after.cpu_seconds is None:
        return "-"
    wall, used = after.at - before.at, after.cpu_seconds - before.cpu_seconds
    if wall <= 0 or used < 0:  # the same moment twice, or a new VMM
        return "-"
    return f"{100 * used / wall:.0f}%"


def _memory(vm: "VmStats") -> int | None:
    """What the guest has of its memory; of the whole VMM where that is not known."""
    return vm.resident_bytes if vm.guest_memory_bytes is None else vm.guest_memory_bytes


def _size(size: int | None) -> str:
    return "-" if size is None else show_size(size)
