"""A command of this user, and what its VM's image makes of it.

The rules are the services' (services/api/policy/image_session.py): this only packs what was said
and unpacks the answer.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from shared.contract.guest_command import GuestCommand

if TYPE_CHECKING:
    from shared.contract.messages.guest_run import GuestRun


class Wish(NamedTuple):
    """The fields of CommandWish."""

    argv: tuple[str, ...] = ()
    env: Mapping[str, str] | None = None
    user: str = ""
    workdir: str = ""
    entrypoint: str | None = None
    shell: bool = False

    def fields(self) -> dict[str, Any]:
        """What was given, as it is sent."""
        given = {name: value for name, value in self._asdict().items() if value}
        if self.entrypoint is not None:
            given["entrypoint"] = self.entrypoint
        return given

    def command(self, made: "GuestRun | None") -> GuestCommand:
        """What is to be run: ``made`` if the image says anything of it."""
        if made is None:
            return GuestCommand(self.argv, self.workdir, self.env or {}, self.user)
        return GuestCommand(
            tuple(made.argv),
            made.workdir,
            made.env,
            made.user,
            fallback=made.image_workdir,
            plain_shell=made.image_env,
        )
