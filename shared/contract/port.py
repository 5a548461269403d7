"""A port as a user writes it. Pure."""


def parse_port(word: str) -> int | None:
    """1 to 65535 in decimal digits; None for anything else."""
    number = int(word) if word.isascii() and word.isdecimal() and len(word) <= 5 else 0
    return number if 0 < number < 65536 else None
