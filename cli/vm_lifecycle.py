"""Verbs that take several VMs: ``start``, ``stop``, ``kill`` and ``delete``."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import click

from cli.completion import vm_names
from cli.output import Settings, format_options, report
from shared.errors import BangerError

START_SECONDS = 900.0
STOP_SECONDS = 120.0

Result = dict[str, Any] | BangerError
Command = Callable[..., Any]

some_vms = click.argument("vms", metavar="VM...", nargs=-1, required=True, shell_complete=vm_names)


@click.command()
@some_vms
@format_options
@click.pass_obj
def start(settings: Settings, vms: tuple[str, ...], output: str, quiet: bool) -> int:
    """Start VMs that are not running; their disks are as they were left.

    \b
    Example:
      banger vm start web db
    """
    return act_on(vms, "vm.start", {}, START_SECONDS, settings, output, quiet=quiet)


@click.command()
@some_vms
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, max=3600),
    default=30.0,
    show_default=True,
    help="Seconds a guest gets to power off by itself.",
)
@format_options
@click.pass_obj
def stop(settings: Settings, vms: tuple[str, ...], timeout: float, output: str, quiet: bool) -> int:
    """Ask guests to power off; what does not in time is ended.

    \b
    Examples:
      banger vm stop web
      banger vm stop --timeout 5 web db
    """
    extra = {"timeout": timeout}
    return act_on(vms, "vm.stop", extra, STOP_SECONDS + timeout, settings, output, quiet=quiet)


@click.command()
@some_vms
@format_options
@click.pass_obj
def kill(settings: Settings, vms: tuple[str, ...], output: str, quiet: bool) -> int:
    """End VMs at once, as if the power went.

    \b
    Example:
      banger vm kill web
    """
    return act_on(vms, "vm.kill", {}, STOP_SECONDS, settings, output, quiet=quiet)


@click.command()
@some_vms
@format_options
@click.pass_obj
def delete(settings: Settings, vms: tuple[str, ...], output: str, quiet: bool) -> int:
    """End VMs and remove them with their disks. This cannot be undone.

    \b
    Examples:
      banger vm delete web
      banger vm delete $(banger vm list -q)
    """
    return act_on(vms, "vm.delete", {}, STOP_SECONDS, settings, output, quiet=quiet)


def act_on(
    refs: Sequence[str],
    verb: str,
    extra: dict[str, Any],
    timeout: float,
    settings: Settings,
    output: str,
    *,
    quiet: bool,
) -> int:
    """Resolve all references against one listing, act on all at once, report in their order.

    Returns the exit status: 0, or that of the first failure.
    """
    from cli.call import connect
    from cli.reference import resolve

    with connect() as client:
        listing = [view["vm"] for view in client.call("api", "vm.list")["vms"]]
        found = resolve(refs, listing)
        good = [vm for vm in found.values() if not isinstance(vm, BangerError)]
        bodies = [{"ref": vm["id"], **extra} for vm in good]
        answers = client.call_many("api", verb, bodies, timeout=timeout)
    by_id = {vm["id"]: answer for vm, answer in zip(good, answers, strict=True)}
    results = {
        ref: vm if isinstance(vm, BangerError) else _with_row(vm, by_id[vm["id"]])
        for ref, vm in found.items()
    }
    return _print(results, settings, output, quiet=quiet)


def _with_row(vm: dict[str, Any], answer: Result) -> Result:
    return answer if isinstance(answer, BangerError) else vm


def _print(results: dict[str, Result], settings: Settings, output: str, *, quiet: bool) -> int:
    statuses = []
    entries: list[dict[str, Any]] = []
    for ref, result in results.items():
        if isinstance(result, BangerError):
            statuses.append(report(result, settings))
            entries.append({"ref": ref, "ok": False, "error": result.to_wire()})
            continue
        entries.append({"ref": ref, "ok": True, "id": result["id"], "name": result["name"]})
        if output != "json":
            click.echo(result["id" if quiet else "name"])
    if output == "json":
        click.echo(json.dumps(entries, indent=2))
    return next(iter(statuses), 0)
