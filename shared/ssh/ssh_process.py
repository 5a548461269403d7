"""One run of ssh(1), started and watched by system calls of the kernel alone.

``vm exec`` should feel like a local command, and importing subprocess takes longer than starting
ssh.
"""

import os
import signal
from collections.abc import Sequence
from contextlib import suppress

from shared.errors import BangerError, Code


class SshProcess:
    """``argv`` with the standard streams of this process, or with /dev/null when ``quiet``.

    With ``own_session``, Ctrl-C on the terminal does not reach it. ``pidfd`` is readable when the
    process has ended; then ``wait`` does not block.
    """

    def __init__(
        self, argv: Sequence[str], *, own_session: bool = False, quiet: bool = False
    ) -> None:
        """Raises ``missing_tool`` when the program is not there."""
        null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
        try:
            self._pid = os.posix_spawnp(
                argv[0],
                list(argv),
                os.environ,
                file_actions=null if quiet else [],
                setsid=own_session,
                # Python ignores SIGPIPE; ssh must end when its output is closed.
                setsigdef=[signal.SIGPIPE],
            )
        except FileNotFoundError:
            raise BangerError(
                Code.MISSING_TOOL, f"{argv[0]} is not installed", hint="see: banger doctor"
            ) from None
        self.pidfd = os.pidfd_open(self._pid)

    def send(self, number: int) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    def wait(self) -> int:
        """Its exit status, -N when signal N ended it. Closes ``pidfd``."""
        _, status = os.waitpid(self._pid, 0)
        os.close(self.pidfd)
        return os.waitstatus_to_exitcode(status)
