"""Commands that bring VMs from one state into another."""

from typing import TYPE_CHECKING

import click

from cli.client.batch import act_on
from cli.commands.vm.options.arguments import some_running_vms, some_vms
from cli.commands.vm.options.wait_option import wait_option
from cli.parsing.param_types import Seconds, SignalName
from cli.terminal.output import Settings, format_options
from shared.contract.verbs import api

if TYPE_CHECKING:
    from shared.contract.messages.vm import VmView, WaitFor
    from shared.contract.verb import Request

grace = click.option(
    "--timeout",
    type=Seconds(most=3600),
    default=30.0,
    show_default=True,
    help="Seconds for the guest to power off before it is killed.",
)


@click.command()
@some_vms
@wait_option
@click.option(
    "--discard-memory",
    is_flag=True,
    help="Discard the saved memory of a suspended VM and boot it from its disks, as after a power "
    "cut.",
)
@format_options
@click.pass_obj
def start(
    settings: Settings,
    vms: tuple[str, ...],
    wait: "WaitFor",
    discard_memory: bool,
    output: str,
    quiet: bool,
) -> int:
    """Start stopped VMs, and resume suspended ones.

    A stopped VM boots from its own disks. A suspended VM continues where it was.

    \b
    Examples:
      banger vm start web db
      banger vm start --discard-memory web
    """
    more = {"discard_memory": True} if discard_memory else {}

    def request(ref: str) -> "Request[VmView]":
        return api.VM_START(ref=ref, wait=wait, **more)

    return act_on(vms, request, settings, output, quiet=quiet, progress=True)


@click.command()
@some_vms
@grace
@format_options
@click.pass_obj
def stop(settings: Settings, vms: tuple[str, ...], timeout: float, output: str, quiet: bool) -> int:
    """Stop VMs. A guest that does not power off in time is killed.

    A suspended VM has no VMM and stays suspended. vm start --discard-memory boots it without what
    is in its memory.

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
@wait_option
@format_options
@click.pass_obj
def restart(
    settings: Settings,
    vms: tuple[str, ...],
    timeout: float,
    wait: "WaitFor",
    output: str,
    quiet: bool,
) -> int:
    """Stop VMs and start them again, on the same disks.

    \b
    Example:
      banger vm restart web db
    """

    def request(ref: str) -> "Request[VmView]":
        return api.VM_RESTART(ref=ref, timeout=timeout, wait=wait)

    return act_on(vms, request, settings, output, quiet=quiet, progress=True)


@click.command()
@some_vms
@click.option(
    "-s",
    "--signal",
    "name",
    type=SignalName(),
    default="KILL",
    show_default=True,
    help="Signal to send: a name, with or without SIG, or a number.",
)
@format_options
@click.pass_obj
def kill(settings: Settings, vms: tuple[str, ...], name: str, output: str, quiet: bool) -> int:
    """Kill VMs: send a signal to their VMM processes.

    The default signal, KILL, ends a VM at once, like a power failure. Give the whole name of each
    VM, or its id.

    \b
    Examples:
      banger vm kill web
      banger vm kill --signal TERM web db
    """

    def request(ref: str) -> "Request[VmView]":
        return api.VM_KILL(ref=ref, signal=name)

    return act_on(vms, request, settings, output, quiet=quiet, whole_names=True)


@click.command()
@some_vms
@format_options
@click.pass_obj
def pause(settings: Settings, vms: tuple[str, ...], output: str, quiet: bool) -> int:
    """Pause running VMs. Their processors stand still; they keep their memory.

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
    """Resume paused and suspended VMs.

    The programs of the guest continue where they were. The memory of a suspended VM is loaded from
    disk first.

    \b
    Examples:
      banger vm resume web
      banger vm resume web db
    """

    def request(ref: str) -> "Request[VmView]":
        return api.VM_RESUME(ref=ref)

    return act_on(vms, request, settings, output, quiet=quiet, progress=True)


@click.command()
@some_running_vms
@format_options
@click.pass_obj
def suspend(settings: Settings, vms: tuple[str, ...], output: str, quiet: bool) -> int:
    """Suspend VMs: save their memory to disk and end their VMMs.

    A suspended VM uses no memory and no processor of the host. banger vm resume or banger vm start
    continues it where it was, also after a reboot of the host. The network connections of its
    guest are lost.

    \b
    Examples:
      banger vm suspend web
      banger vm suspend $(banger vm ps -q)
    """

    def request(ref: str) -> "Request[VmView]":
        return api.VM_SUSPEND(ref=ref)

    return act_on(vms, request, settings, output, quiet=quiet, progress=True)


@click.command()
@some_vms
@format_options
@click.pass_obj
def delete(settings: Settings, vms: tuple[str, ...], output: str, quiet: bool) -> int:
    """Delete VMs, their disks and their snapshots. Running VMs are killed. This cannot be undone.

    Give the whole name of each VM, or its id.

    \b
    Examples:
      banger vm delete web
      banger vm delete $(banger vm list -q)
    """

    def request(ref: str) -> "Request[VmView]":
        return api.VM_DELETE(ref=ref)

    return act_on(vms, request, settings, output, quiet=quiet, whole_names=True)
