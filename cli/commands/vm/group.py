"""``banger vm``: the commands about virtual machines."""

import click

from cli.parsing.lazy_group import LazyGroup

COMMANDS = {
    "run": "cli.commands.vm.run:run",
    "create": "cli.commands.vm.create:create",
    "start": "cli.commands.vm.lifecycle:start",
    "stop": "cli.commands.vm.lifecycle:stop",
    "restart": "cli.commands.vm.lifecycle:restart",
    "kill": "cli.commands.vm.lifecycle:kill",
    "pause": "cli.commands.vm.lifecycle:pause",
    "resume": "cli.commands.vm.lifecycle:resume",
    "suspend": "cli.commands.vm.lifecycle:suspend",
    "snapshot": "cli.commands.vm.snapshot.group:snapshot",
    "fork": "cli.commands.vm.fork:fork",
    "delete": "cli.commands.vm.lifecycle:delete",
    "prune": "cli.commands.vm.prune:prune",
    "commit": "cli.commands.vm.commit:commit",
    "set": "cli.commands.vm.configure:set_",
    "rename": "cli.commands.vm.configure:rename",
    "list": "cli.commands.vm.inspect.show:list_",
    "ps": "cli.commands.vm.inspect.show:ps",
    "show": "cli.commands.vm.inspect.show:show",
    "stats": "cli.commands.vm.inspect.stats:stats",
    "ports": "cli.commands.vm.inspect.ports:ports",
    "publish": "cli.commands.vm.publish:publish",
    "unpublish": "cli.commands.vm.publish:unpublish",
    "health": "cli.commands.vm.inspect.health:health",
    "logs": "cli.commands.vm.inspect.logs:logs",
    "ssh": "cli.commands.vm.session.shell:ssh",
    "exec": "cli.commands.vm.session.shell:exec_",
    "cp": "cli.commands.vm.session.copy:cp",
    "console": "cli.commands.vm.session.console:console",
    "workspace": "cli.commands.vm.workspace.group:workspace",
}


@click.group(cls=LazyGroup, lazy=COMMANDS, aliases={"ls": "list", "rm": "delete"})
def vm() -> None:
    """Manage virtual machines.

    VM is the name or the id of a virtual machine, or a unique prefix of one. vm delete and vm kill
    take no prefix of a name.

    \b
    Examples:
      banger vm run --rm -- uname -a
      banger vm run --rm . -- make test
      banger vm list -o json
      banger vm delete web db
    """
