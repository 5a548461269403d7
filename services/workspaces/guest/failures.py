"""Why a guest did not take a repository, as errors that say what to do next."""

from services.workspaces.guest.session import GuestSession
from shared.errors import BangerError, Code
from shared.plain_text import printable

SHOWN = 3
"""Lines of a guest's complaints that are shown."""
_FULL = ("No space left on device", "Disk quota exceeded")


def refusal(word: str, guest_path: str) -> BangerError:
    """What a script said before anything was changed: a word of place.sh or update.sh."""
    path = printable(guest_path)
    if word == "git":
        return BangerError(
            Code.MISSING_TOOL,
            "there is no git in the guest",
            hint="install it there, such as with: apt-get install git",
        )
    if word == "taken":
        return BangerError(
            Code.CONFLICT,
            f"{path} in the guest is not an empty directory",
            hint="choose another place with --guest-path, or remove it",
        )
    return BangerError(
        Code.CONFLICT,
        f"{path} in the guest is not the repository that was prepared there",
        hint="choose another place with --guest-path, or remove it",
    )


def failure(session: GuestSession) -> BangerError:
    """The error of a script that ended before it was done.

    Raises ``lost`` and what else ``GuestSession.finish`` raises.
    """
    status = session.finish()
    said = session.complaints()
    if any(words in line for line in said for words in _FULL):
        return _full()
    if any(words in line for line in said for words in ("index.lock", "Unable to create")):
        return BangerError(
            Code.BUSY,
            f"git is at work in the guest's repository: {said[0]}",
            hint="try again when it has ended",
        )
    text = "; ".join(said[:SHOWN]) or f"its shell exited with {status}"
    return BangerError(
        Code.GUEST_FAILED,
        f"the guest did not take the repository: {printable(text, 600)}",
        hint="check whether the guest works: banger vm health",
    )


def _full() -> BangerError:
    return BangerError(
        Code.NO_SPACE,
        "the guest's disk is full",
        hint="free some space there, or make the disk larger: banger vm set --disk-size",
    )
