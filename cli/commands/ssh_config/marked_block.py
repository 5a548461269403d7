"""Our marked lines in somebody else's file: put in once, taken out to the letter. Pure."""

from shared.errors import BangerError, Code

BEGIN = "# >>> banger: made by `banger ssh-config --install`, taken out by --uninstall"
END = "# <<< banger"


def with_block(text: str, line: str) -> str:
    """``text`` with our block that holds ``line`` at its top, where ssh_config(5) wants an Include
    that is to come before every Host section; an older block of ours is replaced."""
    rest = without_block(text)
    return f"{BEGIN}\n{line}\n{END}\n{rest}"


def without_block(text: str) -> str:
    """``text`` as it was before we were there.

    Raises:
        BangerError: ``conflict`` when our block has no end: what is whose cannot be told.
    """
    before, begin, rest = text.partition(f"{BEGIN}\n")
    if not begin:
        return text
    _ours, end, after = rest.partition(f"{END}\n")
    if not end:
        raise BangerError(
            Code.CONFLICT,
            "the block of banger in your ssh configuration has no end",
            hint=f"add this line at its end: {END}",
        )
    return before + after
