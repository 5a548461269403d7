"""What the shell offers on Tab: names that the services know, and nothing while they are down."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

import click

from shared.contract.verbs import api

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from shared.contract.messages.image import ImageList, KernelList
    from shared.contract.messages.snapshot import Snapshot
    from shared.contract.messages.vm import VmView
    from shared.contract.verb import Request

Complete = Callable[[click.Context, click.Parameter, str], list[str]]
Result = TypeVar("Result")

ANSWER_SECONDS = 1.0


def _live(request: "Request[Result]", names: Callable[[Result], Iterable[str]]) -> Complete:
    """A completer that asks the services if they are up, and offers nothing if not."""

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
        from cli.client.connection import connect_if_running

        try:
            with connect_if_running() as client:
                answer = client.ask(request, timeout=ANSWER_SECONDS, retry=False)
            return [name for name in names(answer) if name.startswith(incomplete)]
        except Exception:  # an error would be printed into the line that is being typed
            return []

    return complete


def _of_vms(names: "Callable[[VmView], Iterable[str]]") -> Complete:
    return _live(api.VM_LIST(), lambda answer: [name for vm in answer.vms for name in names(vm)])


vm_names = _of_vms(lambda view: [view.vm.name])
running_vms = _of_vms(lambda view: [view.vm.name] if view.vm.state == "running" else [])


def published_ports(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The ports that the VM of this command line publishes."""
    wanted = ctx.params.get("vm")

    def specs(view: "VmView") -> Iterable[str]:
        if wanted in (view.vm.name, view.vm.id):
            for each in view.vm.publish:
                yield f"{each.host_port}:{each.guest_port}/{each.protocol}"

    return _of_vms(specs)(ctx, param, incomplete)


def workspace_paths(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Where the VM of this command line has workspaces."""
    # An option that has no value yet keeps click from assigning the arguments.
    wanted = {ctx.params.get("vm"), *ctx.args[:1]}

    def paths(view: "VmView") -> Iterable[str]:
        if wanted & {view.vm.name, view.vm.id}:
            yield from (each.guest_path for each in view.vm.workspaces)

    return _of_vms(paths)(ctx, param, incomplete)


def _of_snapshots(ref: str, name: "Callable[[Snapshot], str]") -> Complete:
    request = api.SNAPSHOT_LIST(ref=ref)
    return _live(request, lambda answer: [name(shot) for shot in answer.snapshots])


def snapshot_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The snapshots of the VM of this command line that are not in it yet."""
    given = {*(ctx.params.get("names") or ()), *ctx.args}
    complete = _of_snapshots(ctx.params.get("vm") or "", lambda shot: shot.name)
    return [name for name in complete(ctx, param, incomplete) if name not in given]


def snapshots_or_vms(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """VMs, and VM/SNAPSHOT once the word has a slash."""
    vm, slash, _ = incomplete.partition("/")
    if not slash:
        return vm_names(ctx, param, incomplete)
    return _of_snapshots(vm, lambda shot: f"{vm}/{shot.name}")(ctx, param, incomplete)


template_keys = _live(
    api.TEMPLATE_LIST(), lambda answer: [template.key for template in answer.templates]
)
operation_ids = _live(
    api.OPS_LIST(), lambda answer: [operation.id for operation in answer.operations]
)


def places(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> "list[str] | list[CompletionItem]":
    """``VM:`` for each running VM that the word may begin, else files of this machine."""
    from click.shell_completion import CompletionItem

    names = [f"{name}:" for name in running_vms(ctx, param, incomplete)]
    return names or [CompletionItem(incomplete, type="file")]


def _of_images(names: "Callable[[ImageList], Iterable[str]]") -> Complete:
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        from shared.contract.verbs import images

        return _live(images.IMAGE_LIST(), names)(ctx, param, incomplete)

    return complete


def _of_kernels(names: "Callable[[KernelList], Iterable[str]]") -> Complete:
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        from shared.contract.verbs import images

        return _live(images.KERNEL_LIST(), names)(ctx, param, incomplete)

    return complete


image_names = _of_images(
    lambda answer: [name for image in answer.images for name in image.names or [image.name]]
)
buildable_images = _of_images(lambda answer: [offer.name for offer in answer.available])
kernel_names = _of_kernels(lambda answer: [kernel.name for kernel in answer.kernels])
available_kernels = _of_kernels(lambda answer: [offer.name for offer in answer.available])
