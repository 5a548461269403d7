"""``banger vm``: the commands about virtual machines."""

import click

from cli.lazy import LazyGroup

COMMANDS = {
    "run": "cli.vm_run:run",
    "create": "cli.vm_create:create",
    "start": "cli.vm_lifecycle:start",
    "stop": "cli.vm_lifecycle:stop",
    "restart": "cli.vm_lifecycle:restart",
    "kill": "cli.vm_lifecycle:kill",
    "pause": "cli.vm_lifecycle:pause",
    "resume": "cli.vm_lifecycle:resume",
    "delete": "cli.vm_lifecycle:delete",
    "prune": "cli.vm_prune:prune",
    "set": "cli.vm_set:set_",
    "list": "cli.vm_show:list_",
    "ps": "cli.vm_show:ps",
    "show": "cli.vm_show:show",
    "stats": "cli.vm_stats:stats",
    "ports": "cli.vm_ports:ports",
    "publish": "cli.vm_publish:publish",
    "unpublish": "cli.vm_publish:unpublish",
    "health": "cli.vm_health:health",
    "logs": "cli.vm_logs:logs",
    "ssh": "cli.vm_session:ssh",
    "exec": "cli.vm_session:exec_",
    "cp": "cli.vm_copy:cp",
    "console": "cli.vm_console:console",
}


@click.group(cls=LazyGroup, lazy=COMMANDS, aliases={"ls": "list", "rm": "delete"})
def vm() -> None:
    """Virtual machines: make them, look at them, work in them, end them.

    VM is an id or a name, or the beginning of either when only one VM begins so.

    \b
    Examples:
      banger vm run --rm -- uname -a
      banger vm list -o json
      banger vm delete web db
    """
