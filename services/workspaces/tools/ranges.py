"""Version ranges of package.json and pyproject.toml as one version that mise understands.

mise takes an exact version or a prefix: ``node@20`` is the newest 20.x. It takes no ranges. A range
becomes the shortest prefix that holds its lower bound and none of what is above its upper bound, so
``>=3.11`` is "3.11", ``^18.17.0`` is "18", ``~18.17.0`` is "18.17" and ``>=18.17.0 <18.17.5`` is
"18.17.0". A range without a lower bound asks for nothing.

Sources: the range grammar of node-semver (npm), and PEP 440 for ``requires-python`` (PEP 621).
"""

import re
from dataclasses import dataclass

Release = tuple[int, ...]

LONGEST = 256
"""Characters of a range."""

_NPM_CLAUSE = re.compile(
    r"(?P<operator>>=|<=|>|<|=|~>|~|\^)?[vV=]*"
    r"(?P<release>(?:\d{1,6}|[xX*])(?:\.(?:\d{1,6}|[xX*])){0,2})(?:[-+][0-9A-Za-z.+-]*)?"
)
_NPM_OPERATOR_AND_BLANKS = re.compile(r"(>=|<=|>|<|=|~>|~|\^)\s+")
_NPM_HYPHEN = re.compile(r"(\S+)\s+-\s+(\S+)")
_PYTHON_CLAUSE = re.compile(
    r"(?P<operator>===|~=|==|!=|<=|>=|<|>)\s*[vV]?"
    r"(?P<release>\d{1,6}(?:\.\d{1,6}){0,3})(?P<series>\.\*)?"
    r"(?:[._-]?(?:a|b|c|rc|alpha|beta|pre|preview|post|dev)\d{0,6})*"
)


@dataclass(frozen=True)
class _Bounds:
    """Of one range: at least ``lower``, which may be empty, and before ``upper``."""

    lower: Release = ()
    upper: Release | None = None

    def both(self, other: "_Bounds") -> "_Bounds":
        uppers = [each for each in (self.upper, other.upper) if each is not None]
        return _Bounds(max(self.lower, other.lower), min(uppers) if uppers else None)

    def prefix(self, shortest: int) -> str:
        """The shortest prefix, of ``shortest`` components at least; "" when there is none."""
        lower = self.lower
        if lower and self.upper is not None:
            lower += (0,) * (len(self.upper) - len(lower))
        for length in range(min(shortest, len(lower)), len(lower) + 1):
            start = lower[:length]
            if start and (self.upper is None or start < self.upper[:length]):
                return ".".join(map(str, start))
        return ""


def lowest_of_npm(text: str) -> str:
    """The version for a range as in ``engines``; "" for one that names no lower bound, or none."""
    found = []
    if len(text) > LONGEST:
        return ""
    for alternative in text.split("||"):
        bounds = _npm_range(alternative.strip())
        if bounds is None or not bounds.lower:
            return ""
        found.append((bounds.lower, bounds.prefix(1)))
    return min(found)[1]


def lowest_of_python(text: str) -> str:
    """The version for a specifier set as in ``requires-python``; "" as in ``lowest_of_npm``."""
    bounds, excluded = _Bounds(), []
    if len(text) > LONGEST:
        return ""
    for clause in filter(None, (each.strip() for each in text.split(","))):
        match = _PYTHON_CLAUSE.fullmatch(clause)
        if match is None:
            return ""
        release = _release(match["release"])
        if match["operator"] == "!=":
            excluded.append(release)
            continue
        one = _python_bounds(match["operator"], release, series=bool(match["series"]))
        if one is None:
            return ""
        bounds = bounds.both(one)
    for release in sorted(excluded):
        if bounds.lower[: len(release)] == release:
            bounds = bounds.both(_Bounds(_after(release)))
    return bounds.prefix(2)


def _npm_range(text: str) -> _Bounds | None:
    hyphen = _NPM_HYPHEN.fullmatch(text)
    if hyphen:
        text = f">={hyphen[1]} <={hyphen[2]}"
    bounds = _Bounds()
    for clause in _NPM_OPERATOR_AND_BLANKS.sub(r"\1", text).split():
        match = _NPM_CLAUSE.fullmatch(clause)
        if match is None:
            return None
        bounds = bounds.both(_npm_bounds(match["operator"] or "=", _release(match["release"])))
    return bounds


def _npm_bounds(operator: str, release: Release) -> _Bounds:
    if not release:
        return _Bounds()
    match operator:
        case ">=":
            return _Bounds(release)
        case ">":
            return _Bounds(_after(release))
        case "<":
            return _Bounds((), release)
        case "<=":
            return _Bounds((), _after(release))
        case "^":
            kept = next((place for place, number in enumerate(release) if number), len(release) - 1)
            return _Bounds(release, _after(release[: kept + 1]))
        case "~" | "~>":
            return _Bounds(release, _after(release[:2]))
        case _:
            return _Bounds(release, _after(release))


def _python_bounds(operator: str, release: Release, *, series: bool) -> _Bounds | None:
    exact = release + (0,) * (3 - len(release))
    match operator:
        case ">=":
            return _Bounds(release)
        case ">":
            return _Bounds(_after(exact))
        case "<":
            return _Bounds((), release)
        case "<=":
            return _Bounds((), _after(exact))
        case "~=" if len(release) > 1:
            return _Bounds(release, _after(release[:-1]))
        case "==" | "===":
            start = release if series else exact
            return _Bounds(start, _after(start))
        case _:
            return None


def _release(text: str) -> Release:
    """The numbers before the first wildcard."""
    numbers: list[int] = []
    for part in text.split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


def _after(release: Release) -> Release:
    """The first release after all that begin with this one."""
    return (*release[:-1], release[-1] + 1)
