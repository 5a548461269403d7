"""The end of a guest's command: its status, and its complaints as errors of the copy."""

from collections.abc import Callable

from cli.guest.transfer.causes import guest_words
from cli.guest.transfer.outcome import CopyOutcome
from shared.errors import BangerError, Code
from shared.ssh.guest_end import GuestEnd


def wait_for_end(
    guest: GuestEnd, to: CopyOutcome, naming: Callable[[str], str] = lambda line: line
) -> None:
    """Wait for the guest; ``naming`` gives its complaints the names that the user knows."""
    status = guest.finish()
    said = list(dict.fromkeys(map(naming, guest.complaints())))
    if status != 0 and (said or not to.number_failed):
        to.cut_off = True
        to.failed(guest_words(said))


def silent(guest: GuestEnd) -> BangerError:
    """The error of a guest that ended before its answer."""
    guest.finish()
    said = "; ".join(guest.complaints()[:3])
    return BangerError(
        Code.UNAVAILABLE,
        "the guest's session ended without an answer" + (f": {said}" if said else ""),
        hint="check it: banger vm health",
    )
