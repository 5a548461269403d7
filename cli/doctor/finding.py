"""One line of ``banger doctor``."""

from dataclasses import asdict, dataclass
from typing import Literal

Status = Literal["PASS", "WARN", "FAIL"]


@dataclass(frozen=True)
class Finding:
    """``found`` is what there is, ``hint`` what to do about it, empty for nothing."""

    name: str
    status: Status
    found: str
    hint: str = ""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def ok(name: str, found: str) -> Finding:
    return Finding(name, "PASS", found)


def warn(name: str, found: str, hint: str = "") -> Finding:
    return Finding(name, "WARN", found, hint)


def fail(name: str, found: str, hint: str = "") -> Finding:
    return Finding(name, "FAIL", found, hint)
