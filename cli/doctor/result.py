"""One line of ``banger doctor``."""

from dataclasses import asdict, dataclass
from typing import Literal

Status = Literal["PASS", "WARN", "FAIL"]


@dataclass(frozen=True)
class Result:
    """``found`` is what there is, ``hint`` what to do about it, empty for nothing."""

    name: str
    status: Status
    found: str
    hint: str = ""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def ok(name: str, found: str) -> Result:
    return Result(name, "PASS", found)


def warn(name: str, found: str, hint: str = "") -> Result:
    return Result(name, "WARN", found, hint)


def fail(name: str, found: str, hint: str = "") -> Result:
    return Result(name, "FAIL", found, hint)
