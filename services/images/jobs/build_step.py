"""``build_step``: one step of a build in its guest."""

from pathlib import Path

from services.images.building.context_files import BuildContext
from services.images.provision import scripts
from services.images.provision.commands import GuestCommands
from services.images.provision.copy import copy
from shared.contract.messages.build import BuildRun, BuildStep
from shared.workers.job import JobContext

_JOINED = 'exec "$@" 2>&1'
"""Standard error in the order in which it was printed, where the image has a shell."""


def run(request: BuildRun, context: JobContext) -> None:
    """Raises ``guest_failed`` with the last lines, and as ``GuestEnd``."""
    commands = GuestCommands(request.target.access, lambda line: context.progress("run", line))
    step = request.step
    if step.kind == "copy":
        copy(commands, step, BuildContext(Path(request.context)))
    else:
        _do(commands, step)
    commands.script("sync", scripts.SYNC)


def _do(commands: GuestCommands, step: BuildStep) -> None:
    title = f"line {step.line}, {step.text}"
    if step.kind == "packages":
        commands.script(title, scripts.INSTALL, step.argv)
    elif step.kind == "user":
        commands.script(title, scripts.ADD_USER, [step.user])
    elif step.kind == "directory":
        commands.script(title, scripts.MAKE_DIRECTORY, [step.destination])
    else:
        by_shell = step.argv[:1] == ["/bin/sh"]
        argv = ["/bin/sh", "-c", _JOINED, "sh", *step.argv] if by_shell else step.argv
        cwd = step.workdir or "/"
        commands.run(title, argv, user=step.user, cwd=cwd, env=step.env)
