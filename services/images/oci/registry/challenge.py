"""What a registry answers when it wants to know who asks: the header WWW-Authenticate.

RFC 9110 section 11.6.1 (challenges), RFC 6750 section 3 (Bearer), and the token authentication of
the distribution project: a ``Bearer`` challenge names ``realm``, ``service`` and ``scope``.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf'\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))\s*(?:,|$)')
_SCHEME = re.compile(rf"[\s,]*({_TOKEN})(?:\s+|\s*(?=,|$))")
_LONGEST = 8192


@dataclass(frozen=True)
class AuthChallenge:
    """``scheme`` and the names of ``parameters`` are in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def read_challenges(header: str) -> list[AuthChallenge]:
    """The challenges of a header, in its order; what cannot be read ends them."""
    return list(_challenges(header[:_LONGEST]))


def _challenges(header: str) -> Iterator[AuthChallenge]:
    position = 0
    while found := _SCHEME.match(header, position):
        position = found.end()
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(header, position):
            name, quoted, plain = parameter.groups()
            value = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            parameters.setdefault(name.lower(), value)
            position = parameter.end()
        yield AuthChallenge(found[1].lower(), parameters)
