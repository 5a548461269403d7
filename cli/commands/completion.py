"""``banger completion``, and the live names it offers."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Complete = Callable[[click.Context, click.Parameter, str], list[str]]

ANSWER_SECONDS = 1.0


def _live(service: str, verb: str, names: Callable[[dict[str, Any]], list[str]]) -> Complete:
    """A completer that asks the services if they are up, and offers nothing if not."""

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
        from cli.client.connection import connect_if_running

        try:
            with connect_if_running() as client:
                answer = client.call(service, verb, timeout=ANSWER_SECONDS, retry=False)
            return [name for name in names(answer) if name.startswith(incomplete)]
        except Exception:  # whatever it is, a person pressing Tab is not the one to tell
            return []

    return complete


vm_names = _live("api", "vm.list", lambda answer: [view["vm"]["name"] for view in answer["vms"]])
running_vms = _live(
    "api",
    "vm.list",
    lambda answer: [
        view["vm"]["name"] for view in answer["vms"] if view["vm"]["state"] == "running"
    ],
)


def published_ports(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """What the VM of this command line publishes."""

    def specs(answer: dict[str, Any]) -> list[str]:
        rows = [view["vm"] for view in answer["vms"]]
        wanted = ctx.params.get("vm")
        return [
            f"{each['host_port']}:{each['guest_port']}/{each['protocol']}"
            for row in rows
            for each in row["publish"]
            if wanted in (row["name"], row["id"])
        ]

    return _live("api", "vm.list", specs)(ctx, param, incomplete)


operation_ids = _live(
    "api", "ops.list", lambda answer: [operation["id"] for operation in answer["operations"]]
)


def places(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> "list[str] | list[CompletionItem]":
    """``VM:`` while that is what may have been begun, else files here."""
    from click.shell_completion import CompletionItem

    names = [f"{name}:" for name in running_vms(ctx, param, incomplete)]
    return names or [CompletionItem(incomplete, type="file")]


image_names = _live(
    "images", "image.list", lambda answer: [image["name"] for image in answer["images"]]
)
kernel_names = _live(
    "images", "kernel.list", lambda answer: [kernel["name"] for kernel in answer["kernels"]]
)
buildable_images = _live(
    "images", "image.list", lambda answer: [entry["name"] for entry in answer["available"]]
)
available_kernels = _live(
    "images", "kernel.list", lambda answer: [entry["name"] for entry in answer["available"]]
)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for a shell.

    It completes commands, options, and the names of VMs, images and kernels while the services
    are up; it never starts them.

    \b
    Examples:
      banger completion bash > ~/.local/share/bash-completion/completions/banger
      banger completion zsh > "${fpath[1]}/_banger"
      banger completion fish > ~/.config/fish/completions/banger.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"there is no completion for {shell}", ctx)
    click.echo(kind(ctx.find_root().command, {}, "banger", "_BANGER_COMPLETE").source())
