"""``--wait``: what commands that boot a VM wait for."""

import click

wait_option = click.option(
    "--wait",
    type=click.Choice(("ready", "system")),
    default="ready",
    show_default=True,
    help="ready: until the guest answers. system: until its systemd has finished booting, so that "
    "systemctl works.",
)
