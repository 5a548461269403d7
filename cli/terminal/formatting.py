"""How sizes, times and numbers of things are shown."""

from shared.contract.sizes import show_bytes

_SCALES = (("G", 1024**3), ("M", 1024**2), ("K", 1024))
_STEPS = (("d", 86400), ("h", 3600), ("m", 60))


def show_size(size: int) -> str:
    """Exact in the largest unit that divides it ("8G"), else rounded to one digit ("71.6M")."""
    exact = show_bytes(size)
    if not exact.endswith(("B", "K")) or size < 1024:
        return exact
    unit, scale = next(step for step in _SCALES if size >= step[1])
    return exact if exact.endswith(unit) else f"{size / scale:.1f}{unit}"


def show_seconds(seconds: float) -> str:
    """A duration in its largest unit: "3d", "5h", "12m", "40s"."""
    for unit, scale in _STEPS:
        if seconds >= scale:
            return f"{int(seconds // scale)}{unit}"
    return f"{max(0, int(seconds))}s"


def show_time(rfc3339: str) -> str:
    """ "2026-11-22 09:30" of an RFC 3339 time; other text is unchanged."""
    return rfc3339[:16].replace("T", " ") if rfc3339[10:11] == "T" else rfc3339


def counted(number: int, thing: str) -> str:
    """ "1 file", "2 files"."""
    return f"{number} {thing}{'' if number == 1 else 's'}"
