"""What an image's config makes of a command in the guest, as docker has it. Pure.

The rules are those of the OCI image specification (config.md, "Properties") and of docker run and
docker exec: entrypoint and command are one list of words, what a user gives replaces what the image
has, and a variable of the image counts until the user sets the same one.
"""

import re

from shared.contract.messages.guest_run import CommandWish, GuestRun
from shared.contract.messages.image import ImageConfig
from shared.contract.names import few

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""What a shell can export (POSIX.1-2017 XBD 8.1), as the program in the guest does."""
_NOTHING = ImageConfig()
_INITS = frozenset(
    {"init", "/sbin/init", "/usr/sbin/init", "/bin/systemd", "/usr/bin/systemd"}
    | {"/lib/systemd/systemd", "/usr/lib/systemd/systemd"}
)
"""What an image with an init of its own names as its command: a VM runs it before any command."""


def run_of(config: ImageConfig | None, wish: CommandWish) -> GuestRun | None:
    """``vm run``: what becomes of ``wish``; None for exactly what it says.

    Without words of the user, what the container would run, unless somebody is there to use a
    shell. ``--entrypoint`` takes the image's words away, its cmd too.
    """
    if config is None and wish.entrypoint is None:
        return None
    config = config or _NOTHING
    if wish.entrypoint is not None:
        words = [wish.entrypoint] if wish.entrypoint else []
        return _placed(config, wish, [*words, *wish.argv])
    if not wish.argv and wish.shell:
        return _placed(config, wish, [])
    entrypoint, cmd = _without_init(config)
    return _placed(config, wish, [*entrypoint, *(wish.argv or cmd)])


def exec_of(config: ImageConfig | None, wish: CommandWish) -> GuestRun | None:
    """``vm exec``: the words are the user's; variables, directory and account count as in
    ``run_of``."""
    return _placed(config, wish, list(wish.argv)) if config else None


def odd_variables(config: ImageConfig, image: str) -> list[str]:
    """A sentence when the image has variables that no command in the guest gets, else nothing."""
    odd = [name for name in config.env if not _VARIABLE.fullmatch(name)]
    if not odd:
        return []
    return [f"variables of {image} are left out, because no shell accepts their names: {few(odd)}"]


def _without_init(config: ImageConfig) -> tuple[list[str], list[str]]:
    """Entrypoint and cmd. With an init as the entrypoint, cmd is its options."""
    if not _INITS.isdisjoint(config.entrypoint[:1]):
        return [], []
    if not config.entrypoint and not _INITS.isdisjoint(config.cmd[:1]):
        return [], []
    return config.entrypoint, config.cmd


def _placed(config: ImageConfig, wish: CommandWish, argv: list[str]) -> GuestRun:
    env = {name: value for name, value in config.env.items() if _VARIABLE.fullmatch(name)}
    return GuestRun(
        argv=argv,
        env=env | wish.env,
        workdir=wish.workdir or _absolute(config.workdir),
        user=wish.user or config.user,
        image_workdir=not wish.workdir and bool(config.workdir),
        image_env=bool(env),
    )


def _absolute(workdir: str) -> str:
    """Docker takes a relative one from the root."""
    return workdir if not workdir or workdir.startswith("/") else f"/{workdir}"
