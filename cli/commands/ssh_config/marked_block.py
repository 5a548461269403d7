"""A marked block of lines in the user's file, added once and removed without a trace. Pure."""

from shared.errors import BangerError, Code

BEGIN = "# >>> banger: made by `banger ssh-config --install`, taken out by --uninstall"
END = "# <<< banger"


def with_block(text: str, lines: str) -> str:
    """``text`` with a block that holds ``lines``, whole ones, in place of an older block.

    A new block is at the top: ssh takes the first value that it finds, and a section for VMs must
    come before one for all hosts (ssh_config(5)). What the user has put above it later stays there.
    """
    before, _, after = _split(text)
    return f"{before}{BEGIN}\n{lines}{END}\n{after}"


def without_block(text: str) -> str:
    """``text`` without the block.

    Raises:
        BangerError: ``conflict`` when the block has no end.
    """
    before, _, after = _split(text)
    return before + after


def _split(text: str) -> tuple[str, str, str]:
    """What precedes the block, the block, and what follows it."""
    before, begin, rest = text.partition(f"{BEGIN}\n")
    if not begin:
        return "", "", text
    inside, end, after = rest.partition(f"{END}\n")
    if not end:
        raise BangerError(
            Code.CONFLICT,
            "the block of banger in your ssh configuration has no end",
            hint=f"add this line at its end: {END}",
        )
    return before, inside, after
