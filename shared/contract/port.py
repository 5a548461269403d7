"""Port numbers as users write them. Pure."""


def parse_port(word: str) -> int | None:
    """The number in ``word``: decimal digits, 1 to 65535. None for anything else."""
    number = int(word) if word.isascii() and word.isdecimal() and len(word) <= 5 else 0
    return number if 0 < number < 65536 else None
