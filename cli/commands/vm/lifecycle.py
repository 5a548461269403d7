"""Verbs that bring VMs from one state into another."""

from typing import TYPE_CHECKING

import click

from cli.client.batch import act_on
from cli.commands.vm.options.arguments import some_vms
from cli.parsing.param_types import Seconds, SignalName
from cli.terminal.output import Settings, format_options
from shared.contract.verbs import api

if TYPE_CHECKING:
    from shared.contract.messages.vm import VmView
    from shared.contract.verb import Request

grace = click.option(
    "--timeout",
    type=Seconds(most=3600),
    default=30.0,
    show_default=True,
    help="What a guest gets to power off by itself.",
)


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
    return act_on(vms, lambda ref: api.VM_START(ref=ref), settings, output, quiet=quiet)


@click.command()
@some_vms
@grace
@format_options
@click.pass_obj
def stop(settings: Settings, vms: tuple[str, ...], timeout: float, output: str, quiet: bool) -> int:
    """Ask guests to power off; what does not in time is ended.

    \b
    Examples:
      banger vm stop web
      banger vm stop --timeout 5 web db
    """

    def request(ref: str) -> "Request[VmView]":
        return api.VM_STOP(ref=ref, timeout=timeout)

    return act_on(vms, request, settings, output, quiet=quiet)


@click.command()
@some_vms
@grace
@format_options
@click.pass_obj
def restart(
    settings: Settings, vms: tuple[str, ...], timeout: float, output: str, quiet: bool
) -> int:
    """Stop VMs and start them again, on the same disks.

    \b
    Example:
      banger vm restart web db
    """

    def request(ref: str) -> "Request[VmView]":
        return api.VM_RESTART(ref=ref, timeout=timeout)

    return act_on(vms, request, settings, output, quiet=quiet)


@click.command()
@some_vms
@click.option(
    "-s",
    "--signal",
    "name",
    type=SignalName(),
    default="KILL",
    show_default=True,
    help="Signal for the VMM: a name, with or without SIG, or a number.",
)
@format_options
@click.pass_obj
def kill(settings: Settings, vms: tuple[str, ...], name: str, output: str, quiet: bool) -> int:
    """Send a signal to VMs' VMMs. KILL ends them at once, as if the power went.

    \b
    Examples:
      banger vm kill web
      banger vm kill --signal TERM web db
    """

    def request(ref: str) -> "Request[VmView]":
        return api.VM_KILL(ref=ref, signal=name)

    return act_on(vms, request, settings, output, quiet=quiet)


@click.command()
@some_vms
@format_options
@click.pass_obj
def pause(settings: Settings, vms: tuple[str, ...], output: str, quiet: bool) -> int:
    """Stop the processors of running VMs; memory stays as it is.

    \b
    Example:
      banger vm pause web
    """
    return act_on(vms, lambda ref: api.VM_PAUSE(ref=ref), settings, output, quiet=quiet)


@click.command()
@some_vms
@format_options
@click.pass_obj
def resume(settings: Settings, vms: tuple[str, ...], output: str, quiet: bool) -> int:
    """Let paused VMs go on where they were.

    \b
    Example:
      banger vm resume web
    """
    return act_on(vms, lambda ref: api.VM_RESUME(ref=ref), settings, output, quiet=quiet)


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
    return act_on(vms, lambda ref: api.VM_DELETE(ref=ref), settings, output, quiet=quiet)
