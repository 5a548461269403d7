"""A marked block of lines in the user's file, added once and removed without a trace. Pure."""

from shared.errors import BangerError, Code

BEGIN = "# >>> banger: made by `banger ssh-config --install`, taken out by --uninstall"
END = "# <<< banger"


def with_block(text: str, line: str) -> str:
    """``text`` with a block that holds ``line``, in place of an older block.

    The block is at the top, since an Include for all hosts must precede every Host section
    (ssh_config(5)).
    """
    rest = without_block(text)
    return f"{BEGIN}\n{line}\n{END}\n{rest}"


def without_block(text: str) -> str:
    """``text`` without the block.

    Raises:
        BangerError: ``conflict`` when the block has no end.
    """
    before, begin, rest = text.partition(f"{BEGIN}\n")
    if not begin:
        return text
    _, end, after = rest.partition(f"{END}\n")
    if not end:
        raise BangerError(
            Code.CONFLICT,
            "the block of banger in your ssh configuration has no end",
            hint=f"add this line at its end: {END}",
        )
    return before + after
