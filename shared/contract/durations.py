"""Durations as users write them: 90s, 30m, 1h30m, 2d."""

import re

from shared.errors import BangerError, Code

UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
"""In the order in which they are written."""
_PARTS = re.compile(r"(?:([0-9]{1,9})d)?(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9})s)?")


def parse_duration(text: str) -> float:
    """Seconds. A number without a unit is in seconds. Raises ``invalid``."""
    words = text.strip().lower()
    if words.isascii() and words.isdigit() and len(words) <= 9:
        return float(words)
    found = _PARTS.fullmatch(words)
    if not words or not found:
        hint = "write 90s, 30m, 1h30m or 2d"
        raise BangerError(Code.INVALID, f"{text!r} is not a duration", hint=hint)
    return float(
        sum(int(n) * unit for n, unit in zip(found.groups(), UNITS.values(), strict=True) if n)
    )


def show_duration(seconds: float) -> str:
    """The two largest units: 1h 30m. Below a second: 0s."""
    left, shown = int(seconds), []
    for name, unit in UNITS.items():
        number, left = divmod(left, unit)
        if number:
            shown.append(f"{number}{name}")
    return " ".join(shown[:2]) or "0s"
