"""``banger image pull``, ``register``, ``promote`` and ``tag``: images by their sources."""

import os

import click

from cli.client.completers import buildable_images, image_names, kernel_names
from cli.client.operation import run_operation
from cli.commands.image.details import details_of
from cli.commands.image.sources import auth_file, source_path
from cli.terminal.output import entry, format_options, show_one
from shared.contract.verbs.images import IMAGE_PROMOTE, IMAGE_PULL, IMAGE_REGISTER, IMAGE_TAG

as_name = click.option(
    "--name", "as_name", metavar="NAME", default="", help="Name of the image. Default: its own."
)


@click.command()
@click.argument("source", shell_complete=buildable_images)
@as_name
@click.option("--force", is_flag=True, help="Look at the source again if the image exists.")
@click.option(
    "--insecure", is_flag=True, help="Use plain HTTP, or HTTPS without a certificate to trust."
)
@format_options
def pull(source: str, as_name: str, force: bool, insecure: bool, output: str, quiet: bool) -> None:
    """Get an image: from the catalogue, from a registry, or from files of this machine.

    SOURCE is a name of the catalogue, a reference as for docker pull, oci:DIR[:TAG] or
    docker-archive:FILE[:REF]. For a registry that wants a password, log in with docker or podman
    first. A pull that was interrupted goes on where it was.

    \b
    Examples:
      banger image pull debian-bookworm
      banger image pull alpine:3.20
      banger image pull registry.example.org/team/app@sha256:...
      banger image pull oci:./layout:latest --name app
    """
    request = IMAGE_PULL(
        source=source_path(source),
        name=as_name,
        force=force,
        insecure=insecure,
        auth_file=auth_file(),
    )
    pulled = run_operation(request)
    show_one(entry(pulled), details_of(pulled), output, quiet=quiet)


@click.command()
@click.argument("name")
@click.option(
    "--rootfs",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    required=True,
    help="The root filesystem: a tar archive (also .tar.zst), ext4, squashfs or qcow2.",
)
@click.option(
    "--kernel",
    metavar="KERNEL",
    default="",
    help="The kernel that VMs of this image boot. Default: defaults.kernel of the configuration.",
    shell_complete=kernel_names,
)
@click.option(
    "--work-seed",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False),
    help="What new VMs have in /root.",
)
@click.option("--force", is_flag=True, help="Take NAME from the image that has it.")
@format_options
def register(
    name: str,
    rootfs: str,
    kernel: str,
    work_seed: str | None,
    force: bool,
    output: str,
    quiet: bool,
) -> None:
    """Use a root filesystem of this machine as an image.

    One of squashfs or ext4 stays where it is, until banger image promote copies it. It must not
    change meanwhile.

    \b
    Examples:
      banger image register mine --rootfs rootfs.tar.zst
      banger image register disk --rootfs disk.squashfs --work-seed ./home
    """
    request = IMAGE_REGISTER(
        name=name,
        rootfs=_absolute(rootfs),
        kernel=kernel,
        work_seed=_absolute(work_seed) if work_seed else "",
        force=force,
    )
    registered = run_operation(request)
    show_one(entry(registered), details_of(registered), output, quiet=quiet)


@click.command()
@click.argument("image", shell_complete=image_names)
@format_options
def promote(image: str, output: str, quiet: bool) -> None:
    """Copy a registered image into banger's own storage.

    \b
    Example:
      banger image promote disk
    """
    copied = run_operation(IMAGE_PROMOTE(ref=image))
    show_one(entry(copied), details_of(copied), output, quiet=quiet)


@click.command()
@click.argument("image", shell_complete=image_names)
@click.argument("name")
@click.option("--force", is_flag=True, help="Take NAME from the image that has it.")
@format_options
def tag(image: str, name: str, force: bool, output: str, quiet: bool) -> None:
    """Give an image one more name.

    \b
    Examples:
      banger image tag alpine:3.20 base
      banger image tag app app:1.2
    """
    from cli.client.connection import ask

    named = ask(IMAGE_TAG(ref=image, name=name, force=force))
    show_one(entry(named), details_of(named), output, quiet=quiet)


def _absolute(path: str) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - a link in it stays one
