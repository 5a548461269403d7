"""References to OCI images: what users type, in the grammar that Docker and podman share.

The grammar is that of the Go module distribution/reference: ``[HOST[:PORT]/]PATH[:TAG][@DIGEST]``.
A reference without a host is short: the default registry is meant, and for a path of one part its
``library/``. Beside it there are two transports of containers-transports(5) for images on disk:
``oci:DIR[:TAG]`` and ``docker-archive:FILE[:REF]``.
"""

import re
from dataclasses import dataclass

from shared.errors import BangerError, Code

DEFAULT_REGISTRY = "docker.io"
"""What a short name means wherever container tools are used; ``[images] default_registry`` of the
configuration names another."""
_LEGACY_DEFAULT = "index.docker.io"
_DEFAULT_HOST = "registry-1.docker.io"
"""Where the default registry answers; its own name is that of a web site."""
_LIBRARY = "library/"
_DEFAULT_TAG = "latest"

_ALPHANUMERIC = "[a-z0-9]+"
_PART = rf"{_ALPHANUMERIC}(?:(?:[._]|__|-+){_ALPHANUMERIC})*"
_PATH = re.compile(rf"{_PART}(?:/{_PART})*")
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]{{1,5}})?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_IDENTIFIER = re.compile(r"[0-9a-f]{64}")

_LONGEST = 4096
_LONGEST_PATH = 255
"""Of a repository; the distribution specification asks for less than 256 with the host."""

LAYOUT = "oci:"
ARCHIVE = "docker-archive:"


@dataclass(frozen=True)
class Reference:
    """An image in a registry. One of ``tag`` and ``digest`` is there; with both, the digest
    counts."""

    registry: str
    """Host and port as users write them."""
    repository: str
    tag: str
    digest: str
    default_registry: str = DEFAULT_REGISTRY

    def __str__(self) -> str:
        """In full."""
        return f"{self.registry}/{self.repository}{self._suffix}"

    @property
    def familiar(self) -> str:
        """As users know it: without what the default adds."""
        repository = self.repository
        if self.registry == self.default_registry:
            inner = repository.removeprefix(_LIBRARY)
            return f"{repository if '/' in inner else inner}{self._suffix}"
        return f"{self.registry}/{repository}{self._suffix}"

    @property
    def wanted(self) -> str:
        """The ``<reference>`` of a request for the manifest: digest or tag."""
        return self.digest or self.tag

    @property
    def host(self) -> str:
        """Host and port that answer for the registry."""
        return _DEFAULT_HOST if self.registry == DEFAULT_REGISTRY else self.registry

    @property
    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


@dataclass(frozen=True)
class LayoutReference:
    """``oci:DIR[:TAG]``: a directory of the OCI image layout specification."""

    directory: str
    tag: str


@dataclass(frozen=True)
class ArchiveReference:
    """``docker-archive:FILE[:REF]``: what ``docker save`` writes."""

    file: str
    name: str


AnyReference = Reference | LayoutReference | ArchiveReference


def parse_any(text: str, default_registry: str = DEFAULT_REGISTRY) -> AnyReference:
    """Of a registry, a directory or an archive. Raises as ``parse``."""
    if text.startswith(LAYOUT):
        directory, tag = _split_transport(text, LAYOUT)
        return LayoutReference(directory, tag)
    if text.startswith(ARCHIVE):
        file, name = _split_transport(text, ARCHIVE)
        return ArchiveReference(file, name)
    return parse(text, default_registry)


def parse(text: str, default_registry: str = DEFAULT_REGISTRY) -> Reference:
    """The image in a registry that ``text`` means. Without tag and digest it is ``:latest``.

    Raises:
        BangerError: ``invalid``, with what is wrong.
    """
    if len(text) > _LONGEST:
        raise _invalid(text[:60] + "…", "it is too long")
    if not text.strip():
        raise _invalid(text, "it is empty")
    if _IDENTIFIER.fullmatch(text):
        raise _invalid(text, "64 hexadecimal digits are no name")
    rest, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise _invalid(text, "after @ there has to be sha256: and 64 hexadecimal digits")
    registry, remainder = _split_registry(rest, default_registry)
    repository, colon, tag = remainder.partition(":")
    if colon and not _TAG.fullmatch(tag):
        raise _invalid(text, f"{tag!r} is no tag")
    if registry == default_registry and "/" not in repository:
        repository = _LIBRARY + repository
    _check(text, registry, repository)
    return Reference(
        registry=registry,
        repository=repository,
        tag=tag or ("" if digest else _DEFAULT_TAG),
        digest=digest,
        default_registry=default_registry,
    )


def is_digest(text: str) -> bool:
    """Whether it is a SHA-256 in the form that the image specification gives it."""
    return bool(_DIGEST.fullmatch(text))


def _split_registry(text: str, default: str) -> tuple[str, str]:
    """The first part is a host when it cannot be a part of a path: with a dot, a colon or a capital
    letter, or ``localhost``."""
    first, slash, rest = text.partition("/")
    if not slash:
        return default, text
    if first == _LEGACY_DEFAULT:
        return DEFAULT_REGISTRY, rest
    if first == "localhost" or any(sign in first for sign in ".:") or first.lower() != first:
        return first, rest
    return default, text


def _check(text: str, registry: str, repository: str) -> None:
    if not _HOST.fullmatch(registry):
        raise _invalid(text, f"{registry!r} is no host of a registry")
    if repository.lower() != repository:
        raise _invalid(text, "a repository is written in lower case")
    if not _PATH.fullmatch(repository):
        raise _invalid(text, f"{repository!r} is no repository")
    if len(repository) > _LONGEST_PATH:
        raise _invalid(text[:60] + "…", "its repository is too long")


def _split_transport(text: str, transport: str) -> tuple[str, str]:
    """A path ends at the first colon, as in skopeo."""
    path, _, rest = text.removeprefix(transport).partition(":")
    if not path or "\0" in text:
        raise _invalid(text, f"after {transport} there has to be a path")
    return path, rest


def _invalid(text: str, problem: str) -> BangerError:
    return BangerError(
        Code.INVALID,
        f"{text!r} is not a reference to an image: {problem}",
        hint="write [HOST[:PORT]/]PATH[:TAG][@DIGEST], oci:DIR[:TAG] or docker-archive:FILE[:REF]",
    )
