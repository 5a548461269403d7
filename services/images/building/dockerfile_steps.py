"""From the instructions of a Dockerfile to the steps of a guest and the config of the image.

Each instruction means what the Dockerfile reference says: ENV, WORKDIR and USER hold for all that
follows, ARGs are in the environment of RUN and not in the image.
"""

import posixpath
import re
from collections.abc import Mapping, Sequence

import msgspec

from services.images.building.dockerfile import Instruction
from services.images.building.source_text import refuse
from services.images.building.words import NAME, BadWords, replaced, split
from shared.contract.messages.build import MOST_STEPS, BuildStep
from shared.contract.messages.image import ImageConfig

SHELL = ("/bin/sh", "-c")
PLATFORM = "linux/amd64"
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What PATH is, as for docker build, when the base says nothing of it."""
_PORT = re.compile(r"([1-9][0-9]{0,4})(-[1-9][0-9]{0,4})?(?:/(tcp|udp))?")
_SHOWN = 200


def base_of(
    file: str, instructions: Sequence[Instruction], arguments: Mapping[str, str]
) -> tuple[str, int]:
    """The reference of the image that FROM names, and FROM's line. Raises ``invalid``."""
    known: dict[str, str] = {}
    for each in instructions:
        if each.name == "ARG":
            known |= _argument(file, each, arguments, known)
            continue
        words = _words(file, each, known)
        if len(words) not in (1, 3) or (len(words) == 3 and words[1].lower() != "as"):
            refuse(file, each.line, "FROM needs an image: FROM IMAGE [AS NAME]")
        platform = each.options.get("platform", PLATFORM)
        if platform not in (PLATFORM, "linux/x86_64", "$BUILDPLATFORM", "$TARGETPLATFORM"):
            refuse(file, each.line, f"there are no images for {platform}, only for {PLATFORM}")
        if words[0] == "scratch":
            refuse(
                file, each.line, "a build needs a base that a VM can boot",
                "an image of one program: banger image register NAME --rootfs FILE.tar",
            )  # fmt: skip
        return words[0], each.line
    raise AssertionError("parse has found a FROM")


def steps_of(
    file: str,
    instructions: Sequence[Instruction],
    arguments: Mapping[str, str],
    base: ImageConfig | None,
) -> tuple[list[BuildStep], ImageConfig]:
    """What follows FROM, given the config of its image, and the ARGs that the user gives.

    Raises:
        BangerError: ``invalid`` with the line.
    """
    start = next(index for index, each in enumerate(instructions) if each.name == "FROM")
    declared = {_name_of(word) for each in instructions if each.name == "ARG" for word in
                each.text.split()}  # fmt: skip
    if unknown := sorted(set(arguments) - declared):
        refuse(file, 0, f"there is no ARG {unknown[0]} in it")
    state = _State(file, arguments, base or ImageConfig())
    for each in instructions[:start]:
        state.outer |= _argument(file, each, arguments, state.outer)
    for each in instructions[start + 1 :]:
        state.take(each)
    if len(state.steps) > MOST_STEPS:
        refuse(file, 0, f"it has more than {MOST_STEPS} steps")
    return state.steps, state.config


class _State:
    """What holds at one line."""

    def __init__(self, file: str, arguments: Mapping[str, str], base: ImageConfig) -> None:
        self.file = file
        self.steps: list[BuildStep] = []
        self.config = base
        self.outer: dict[str, str] = {}
        """ARGs before FROM, which an ARG without a default repeats."""
        self._given = arguments
        self._arguments: dict[str, str] = {}
        self._has_cmd = False
        self._takes = {
            "RUN": self._run,
            "COPY": self._copy,
            "ENV": self._env,
            "WORKDIR": self._workdir,
            "USER": self._user,
            "CMD": self._cmd,
            "ENTRYPOINT": self._entrypoint,
            "ARG": self._arg,
            "EXPOSE": self._expose,
            "LABEL": self._label,
        }

    def take(self, each: Instruction) -> None:
        self._takes[each.name](each)

    @property
    def _values(self) -> dict[str, str]:
        return {"PATH": SEARCH_PATH} | self._arguments | self.config.env

    def _set(self, **fields: object) -> None:
        self.config = msgspec.structs.replace(self.config, **fields)

    def _step(self, each: Instruction, **fields: object) -> None:
        step = BuildStep(
            **{  # type: ignore[arg-type]
                "kind": each.name.lower(),
                "line": each.line,
                "text": f"{each.name} {each.text}"[:_SHOWN],
                "workdir": self.config.workdir,
                **fields,
            }
        )
        self.steps.append(step)

    def _run(self, each: Instruction) -> None:
        argv = each.words_of_json() or [*SHELL, each.text]
        self._step(each, argv=argv, env=self._values, user=self.config.user)

    def _copy(self, each: Instruction) -> None:
        words = each.words_of_json()
        words = [self._one(each, w) for w in words] if words else self._split(each)
        if len(words) < 2:
            refuse(self.file, each.line, "COPY needs a source and a destination")
        *sources, destination = words
        if len(sources) > 1 and not destination.endswith("/"):
            refuse(
                self.file, each.line, "COPY of several sources needs a directory",
                f"end the destination with a slash: {destination}/",
            )  # fmt: skip
        mode = each.options.get("chmod", "")
        if mode and not re.fullmatch(r"0?[0-7]{3,4}", mode):
            refuse(self.file, each.line, f"COPY --chmod={mode} is no octal mode")
        owner = self._one(each, each.options.get("chown", ""))
        place = self._path(destination)
        self._step(each, sources=sources, destination=place, owner=owner, mode=mode)

    def _env(self, each: Instruction) -> None:
        self._set(env=self.config.env | self._pairs(each))

    def _workdir(self, each: Instruction) -> None:
        path = self._path(self._one(each, each.text)).rstrip("/") or "/"
        self._set(workdir=path)
        self._step(each, kind="directory", destination=path, workdir="")

    def _user(self, each: Instruction) -> None:
        user = self._one(each, each.text)
        if not re.fullmatch(r"[^\s:]+(:[^\s:]+)?", user):
            refuse(self.file, each.line, f"USER {user} is no user")
        self._set(user=user)

    def _cmd(self, each: Instruction) -> None:
        self._has_cmd = True
        self._set(cmd=each.words_of_json() or [*SHELL, each.text])

    def _entrypoint(self, each: Instruction) -> None:
        """A CMD of the base was meant for the base's entrypoint."""
        words = each.words_of_json()
        entrypoint = [*SHELL, each.text] if words is None else words
        self._set(entrypoint=entrypoint, cmd=self.config.cmd if self._has_cmd else [])

    def _arg(self, each: Instruction) -> None:
        self._arguments |= _argument(self.file, each, self._given, self._values, self.outer)

    def _expose(self, each: Instruction) -> None:
        ports = list(self.config.exposed)
        for word in self._split(each):
            match = _PORT.fullmatch(word)
            if not match or not 0 < int(match[1]) < 1 << 16:
                refuse(self.file, each.line, f"EXPOSE {word} is no port")
            port = f"{match[1]}{match[2] or ''}/{match[3] or 'tcp'}"
            ports += [port] if port not in ports else []
        self._set(exposed=ports)

    def _label(self, each: Instruction) -> None:
        self._set(labels=self.config.labels | self._pairs(each))

    # -- words ------------------------------------------------------------------------------

    def _pairs(self, each: Instruction) -> dict[str, str]:
        """NAME=VALUE …, or the old form NAME VALUE."""
        first, _, rest = each.text.partition(" ")
        if "=" not in first:
            if not rest.strip():
                refuse(self.file, each.line, f"{each.name} needs NAME=VALUE")
            return {first: self._one(each, rest.strip())}
        pairs: dict[str, str] = {}
        for word in self._split(each):
            name, equals, value = word.partition("=")
            if not equals or not name or (each.name == "ENV" and not NAME.fullmatch(name)):
                refuse(self.file, each.line, f"{each.name} {word} is not NAME=VALUE")
            pairs[name] = value
        return pairs

    def _split(self, each: Instruction) -> list[str]:
        return _words(self.file, each, self._values)

    def _one(self, each: Instruction, text: str) -> str:
        try:
            return replaced(text, self._values)
        except BadWords as problem:
            refuse(self.file, each.line, str(problem))

    def _path(self, path: str) -> str:
        """Absolute; a slash at its end stays, since it says that it is a directory."""
        is_directory = path.endswith(("/", "/.")) or path in (".", "")
        whole = posixpath.normpath(posixpath.join("/", self.config.workdir, path))
        whole = "/" + whole.lstrip("/")
        return f"{whole.rstrip('/')}/" if is_directory else whole


def _words(file: str, each: Instruction, values: Mapping[str, str]) -> list[str]:
    try:
        return split(each.text, values)
    except BadWords as problem:
        refuse(file, each.line, str(problem))


def _name_of(word: str) -> str:
    return word.partition("=")[0]


def _argument(
    file: str,
    each: Instruction,
    given: Mapping[str, str],
    values: Mapping[str, str],
    outer: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """ARG NAME[=DEFAULT] …: what the user gives, else the default, else what an ARG before FROM
    has."""
    found: dict[str, str] = {}
    for word in _words(file, each, values):
        name, equals, default = word.partition("=")
        if not NAME.fullmatch(name):
            refuse(file, each.line, f"ARG {word} is not NAME or NAME=VALUE")
        if name in given:
            found[name] = given[name]
        elif equals:
            found[name] = default
        elif outer and name in outer:
            found[name] = outer[name]
    return found
