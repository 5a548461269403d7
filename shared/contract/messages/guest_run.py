"""A command that is to be run in a guest: what was asked for, and what the image makes of it."""

import msgspec


class CommandWish(msgspec.Struct, kw_only=True):
    """What a user has said of a command; what the image makes of it is a ``GuestRun``.

    ``vm.create`` reads it as docker run does, ``vm.access`` as docker exec. ``argv`` is empty when
    no command was given.
    """

    argv: list[str] = msgspec.field(default_factory=list)
    entrypoint: str | None = None
    """In place of the image's; "" is none at all. Then the image's cmd does not count either."""
    env: dict[str, str] = msgspec.field(default_factory=dict)
    workdir: str = ""
    user: str = ""
    shell: bool = False
    """Whether somebody is there to use one: without a command, they get a shell."""


class GuestRun(msgspec.Struct, kw_only=True):
    """A command as it is to be run in the guest. No ``argv``: a shell. Empty: ``workdir`` is the
    home directory, ``user`` root."""

    argv: list[str]
    env: dict[str, str] = msgspec.field(default_factory=dict)
    workdir: str = ""
    user: str = ""
    image_workdir: bool = False
    """Whether the image chose ``workdir``: then it is no obstacle that there is no such directory.
    """
    image_env: bool = False
    """Whether the image sets variables: then a shell is none that would set its own PATH."""
