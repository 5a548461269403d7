"""The instructions of a Dockerfile, with their lines (Dockerfile reference, "Format").

Comments, parser directives and continued lines are read here, and which instructions and options
there are: the subset that a VM can carry out. What they mean is in ``dockerfile_steps``.
"""

import json
import re
from dataclasses import dataclass, field

from services.images.building.source_text import refuse

INSTRUCTIONS = (
    "FROM", "RUN", "COPY", "ENV", "WORKDIR", "USER", "CMD", "ARG", "ENTRYPOINT", "EXPOSE", "LABEL",
)  # fmt: skip
OPTIONS = {"FROM": ("platform",), "COPY": ("chown", "chmod")}
"""``--name=VALUE`` of each instruction."""
MOST_INSTRUCTIONS = 1000

_DIRECTIVE = re.compile(r"#\s*(syntax|escape|check)\s*=\s*(\S*)", re.IGNORECASE)
_OPTION = re.compile(r"--([a-z-]+)(?:=(\S*))?(?:\s+|$)")
_HERE_DOCUMENT = re.compile(r"(?:^|\s)\d*<<-?['\"]?[A-Za-z_]\w*['\"]?(?:\s|$)")
_HINTS = {
    "ADD": "use COPY; an archive or a download is a RUN",
    "HEALTHCHECK": "take it out: a VM has no health checks of its own",
    "MAINTAINER": "use LABEL",
    "ONBUILD": "put the instruction into the Dockerfile that needs it",
    "SHELL": 'write the shell into RUN: RUN ["/bin/bash", "-c", "…"]',
    "VOLUME": "take it out: the whole system of a VM stays until it is deleted",
}


@dataclass(frozen=True)
class Instruction:
    """One instruction: ``text`` is what follows its name and its options, lines joined."""

    line: int
    name: str
    text: str
    options: dict[str, str] = field(default_factory=dict)

    def words_of_json(self) -> list[str] | None:
        """The strings of an exec form, ``["a", "b"]``; None for a shell form."""
        if not self.text.startswith("["):
            return None
        try:
            words = json.loads(self.text)
        except (ValueError, RecursionError):
            return None  # as docker: then it is a shell form
        return words if isinstance(words, list) and all(isinstance(w, str) for w in words) else None


def parse(file: str, content: str) -> list[Instruction]:
    """The instructions of ``content``; ``file`` is its name in errors.

    Raises:
        BangerError: ``invalid`` with the line.
    """
    found = [_instruction(file, line, text) for line, text in _logical_lines(file, content)]
    if len(found) > MOST_INSTRUCTIONS:
        refuse(file, 0, f"it has more than {MOST_INSTRUCTIONS} instructions")
    first = next((each for each in found if each.name != "ARG"), None)
    if first is None:
        refuse(file, 0, "there is no FROM in it")
    if first.name != "FROM":
        refuse(file, first.line, f"{first.name} comes before FROM")
    for other in found:
        if other.name == "FROM" and other is not first:
            refuse(
                file, other.line, "there is a second FROM: builds of several stages are not known",
                "build each stage as an image of its own, and begin the next one FROM it",
            )  # fmt: skip
    return found


def _logical_lines(file: str, content: str) -> list[tuple[int, str]]:
    """(number of its first line, text) of each line after continued ones are joined."""
    found: list[tuple[int, str]] = []
    pending: list[str] = []
    start, in_directives = 0, True
    for number, raw in enumerate(content.splitlines(), 1):
        line = raw.strip()
        if line.startswith("#"):
            if in_directives:
                _check_directive(file, number, line)
            continue
        in_directives = False
        if not line:
            continue  # docker goes on with a continued line after an empty one
        start = start if pending else number
        if raw.rstrip().endswith("\\"):
            pending.append(raw.rstrip()[:-1])
            continue
        found.append((start, "".join([*pending, raw]).strip()))
        pending = []
    if pending:
        found.append((start, "".join(pending).strip()))
    return found


def _check_directive(file: str, number: int, line: str) -> None:
    match = _DIRECTIVE.match(line)
    if match and match[1].lower() == "escape" and match[2] != "\\":
        refuse(file, number, "only the backslash is known as the escape character")


def _instruction(file: str, line: int, text: str) -> Instruction:
    name, _, rest = text.partition(" ") if " " in text else text.partition("\t")
    name, rest = name.upper(), rest.strip()
    if name not in INSTRUCTIONS:
        problem = f"{name} is not known here"
        refuse(file, line, problem, _HINTS.get(name, f"known are: {', '.join(INSTRUCTIONS)}"))
    options: dict[str, str] = {}
    while match := _OPTION.match(rest) if name not in ("CMD", "ENTRYPOINT") else None:
        option, value = match[1], match[2]
        if option not in OPTIONS.get(name, ()):
            refuse(file, line, f"{name} --{option} is not known here")
        if not value or option in options:
            refuse(file, line, f"{name} --{option} needs one value: --{option}=VALUE")
        options[option] = value
        rest = rest[match.end() :]
    if not rest:
        refuse(file, line, f"{name} needs an argument")
    if name in ("RUN", "COPY") and _HERE_DOCUMENT.search(rest):
        refuse(file, line, "here-documents are not known here", "COPY a file, and RUN it")
    return Instruction(line, name, rest, options)
