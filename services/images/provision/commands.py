"""Commands of a build in its guest, run to their end. What they say is passed on and kept.

The guest is hostile as any: what it says is cut and cleaned before it goes on.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence

from shared.contract.ssh_access import Access
from shared.errors import BangerError, Code
from shared.plain_text import printable
from shared.ssh.guest_end import GuestEnd

SILENT_SECONDS = 3000.0
"""A compiler under emulation says nothing for a long time. The build's own limit is an hour."""
KEPT_LINES = 60
LONGEST_LINE = 300
_LONGEST_PIECE = 1 << 16

Say = Callable[[str], None]


class GuestCommands:
    """Runs commands in one guest. ``say`` gets each line that they print."""

    def __init__(self, access: Access, say: Say) -> None:
        self._access = access
        self._say = say

    def run(
        self,
        title: str,
        argv: Sequence[str],
        *,
        user: str = "",
        cwd: str = "",
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Run ``argv``, which prints on standard output.

        Raises:
            BangerError: ``guest_failed``, with ``title`` and the last lines, when its status is
                not 0; else as ``GuestEnd``.
        """
        lines: deque[str] = deque(maxlen=KEPT_LINES)
        with self._end(argv, user, cwd, env) as end:
            end.close_input()
            self._pass_on(end, lines)
            status = end.finish()
            lines.extend(printable(line, LONGEST_LINE) for line in end.complaints())
        if status:
            raise failed(title, status, list(lines))

    def script(self, title: str, text: str, args: Sequence[str] = ()) -> None:
        """Run POSIX shell as root, with ``args`` as $1…. Raises as ``run``."""
        self.run(title, ["/bin/sh", "-c", f"exec 2>&1\n{text}", "sh", *args])

    def succeeds(self, text: str, args: Sequence[str] = ()) -> bool:
        """Whether a short script ends with status 0."""
        with self._end(["/bin/sh", "-c", text, "sh", *args]) as end:
            end.close_input()
            return end.finish() == 0

    def answer(self, text: str, args: Sequence[str] = ()) -> str:
        """The first line that a short script prints, "" for none."""
        with self._end(["/bin/sh", "-c", text, "sh", *args]) as end:
            end.close_input()
            line = end.line(4096).decode(errors="replace")
            end.finish()
            return line

    def feed(self, title: str, argv: Sequence[str], write: Callable[[GuestEnd], None]) -> None:
        """Run ``argv``, which reads what ``write`` gives it. Raises as ``run``."""
        with self._end(argv) as end:
            write(end)
            end.close_input()
            status = end.finish()
            said = [printable(line, LONGEST_LINE) for line in end.complaints()]
        if status:
            raise failed(title, status, said[-KEPT_LINES:])

    def _end(
        self,
        argv: Sequence[str],
        user: str = "",
        cwd: str = "",
        env: Mapping[str, str] | None = None,
    ) -> GuestEnd:
        return GuestEnd(
            self._access, argv, user=user, cwd=cwd, env=env, idle_seconds=SILENT_SECONDS
        )

    def _pass_on(self, end: GuestEnd, lines: deque[str]) -> None:
        rest = b""
        while piece := end.read(_LONGEST_PIECE):
            *whole, rest = (rest + piece).replace(b"\r", b"\n").split(b"\n")
            for raw in whole:
                self._line(raw, lines)
            rest = rest[-_LONGEST_PIECE:]
        self._line(rest, lines)

    def _line(self, raw: bytes, lines: deque[str]) -> None:
        line = printable(raw[: 4 * LONGEST_LINE].decode(errors="replace"), LONGEST_LINE).strip()
        if line:
            lines.append(line)
            self._say(line)


_NETWORK_HINT = "a build reaches the outside only with --nat or --egress"
_CUT_OFF = ("resolv", "name resolution", "network is unreachable", "could not connect")


def _looks_cut_off(lines: list[str]) -> bool:
    return any(words in line.lower() for line in lines for words in _CUT_OFF)


def failed(title: str, status: int, lines: list[str]) -> BangerError:
    """The error of a command; the last lines that it printed are in ``details["output"]``."""
    last = f": {lines[-1]}" if lines else ""
    return BangerError(
        Code.GUEST_FAILED,
        f"{title} ended with status {status}{last}",
        hint=_NETWORK_HINT if _looks_cut_off(lines) else "",
        details={"output": lines},
    )
