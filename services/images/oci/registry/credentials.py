"""Who the user is at a registry: from the files that docker and podman write at a login.

containers-auth.json(5) and Docker's config.json. A file holds user and password itself (base64, no
encryption), or names a program ``docker-credential-NAME`` that is asked for them (the protocol of
docker-credential-helpers: the server on standard input, JSON on standard output).
"""

import base64
import binascii
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from services.images.oci.reference import DEFAULT_REGISTRY, Reference
from shared.errors import BangerError, Code
from shared.host.programs import find_program
from shared.plain_text import printable

_DEFAULT_KEY = "https://index.docker.io/v1/"
"""What ``docker login`` calls the default registry."""
_DEFAULT_NAMES = frozenset({DEFAULT_REGISTRY, "index.docker.io", "registry-1.docker.io"})
_IDENTITY = "<token>"
"""A helper's user name for a secret that is an identity token."""
_NOT_FOUND = "credentials not found"
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HELPER_SECONDS = 30.0
_LARGEST_FILE = 1 << 20
_LARGEST_ANSWER = 1 << 16


@dataclass(frozen=True)
class Credentials:
    """User and password, or an ``identity_token``, which an authorization server takes for them."""

    user: str
    password: str = field(repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The value of an Authorization header: RFC 7617."""
        pair = f"{self.user}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


class _Entry(msgspec.Struct):
    auth: str | None = ""
    identitytoken: str | None = ""
    username: str | None = ""
    password: str | None = ""


class _AuthFile(msgspec.Struct, rename="camel"):
    auths: dict[str, _Entry | None] | None = None
    cred_helpers: dict[str, str] | None = None
    creds_store: str | None = ""


def find_credentials(
    reference: Reference, auth_file: str = "", environment: Mapping[str, str] = os.environ
) -> Credentials | None:
    """What the user has for this repository; None for nobody in particular.

    ``auth_file`` is the only file that is read when it is given, else $REGISTRY_AUTH_FILE.

    Raises:
        BangerError: ``invalid`` for a file that cannot be read, and for a helper that fails.
    """
    for path in auth_files(auth_file, environment):
        if (file := _read(path)) and (found := _look_up(file, path, reference)):
            return found
    return None


def auth_files(auth_file: str, environment: Mapping[str, str]) -> list[Path]:
    """Where to look, in this order."""
    if named := auth_file or environment.get("REGISTRY_AUTH_FILE", ""):
        return [Path(named)]
    home = Path(environment.get("HOME") or "~").expanduser()
    run = environment.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    config = environment.get("XDG_CONFIG_HOME") or home / ".config"
    docker = environment.get("DOCKER_CONFIG") or home / ".docker"
    return [
        Path(run) / "containers/auth.json",
        Path(config) / "containers/auth.json",
        Path(docker) / "config.json",
    ]


def _read(path: Path) -> _AuthFile | None:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE)
        return msgspec.json.decode(content or b"{}", type=_AuthFile)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, msgspec.MsgspecError, RecursionError) as error:
        problem = (
            error.strerror if isinstance(error, OSError) else "it is not valid JSON of a login"
        )
        raise BangerError(
            Code.INVALID,
            f"cannot read the logins in {path}: {problem}",
            hint="log in again: docker login HOST, or podman login HOST",
        ) from None


def _look_up(file: _AuthFile, path: Path, reference: Reference) -> Credentials | None:
    """A helper of this registry comes first, then what the file holds, then the helper of all."""
    for name, helper in (file.cred_helpers or {}).items():
        if _host_of(name) in _names(reference):
            return _ask(helper, path, name)
    entries = {_key_of(key): entry for key, entry in (file.auths or {}).items()}
    for key in _keys(reference):
        if (entry := entries.get(key)) and (found := _of_entry(entry, path)):
            return found
    return _ask(file.creds_store, path, _server(reference)) if file.creds_store else None


def _keys(reference: Reference) -> Iterator[str]:
    """Keys of ``auths`` that cover a repository, the most exact first."""
    for host in _names(reference):
        parts = reference.repository.split("/")
        for count in range(len(parts), -1, -1):
            yield "/".join([host, *parts[:count]])


def _names(reference: Reference) -> list[str]:
    known = reference.registry in _DEFAULT_NAMES
    return sorted(_DEFAULT_NAMES) if known else [reference.registry]


def _server(reference: Reference) -> str:
    return _DEFAULT_KEY if reference.registry in _DEFAULT_NAMES else reference.registry


def _key_of(key: str) -> str:
    """Older files have URLs for keys, with the version of the API at their end."""
    bare = re.sub(r"^https?://", "", key).rstrip("/")
    return re.sub(r"/v[12]$", "", bare)


def _host_of(key: str) -> str:
    return _key_of(key).partition("/")[0]


def _of_entry(entry: _Entry, path: Path) -> Credentials | None:
    if entry.identitytoken:
        return Credentials("", "", entry.identitytoken)
    if entry.auth:
        try:
            user, colon, password = base64.b64decode(entry.auth).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            colon = ""
        if not colon:
            raise BangerError(Code.INVALID, f"a login in {path} is no user and password")
        return Credentials(user, password.rstrip("\0"))
    return Credentials(entry.username, entry.password or "") if entry.username else None


def _ask(helper: str, path: Path, server: str) -> Credentials | None:
    program = f"docker-credential-{helper}"
    if not _HELPER.fullmatch(helper) or not (found := find_program(program)):
        raise BangerError(
            Code.MISSING_TOOL, f"{printable(program, 100)}, which {path} names, is not installed"
        )
    try:
        done = subprocess.run(
            [str(found), "get"],
            input=server.encode(),
            capture_output=True,
            timeout=_HELPER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BangerError(Code.INVALID, f"{program} does not answer: {error}") from error
    if done.returncode:
        _check_refusal(program, done.stdout + done.stderr)
        return None
    return _of_answer(program, done.stdout[:_LARGEST_ANSWER])


def _check_refusal(program: str, output: bytes) -> None:
    """A helper says in words that it has nothing; any other failure is one."""
    text = printable(output[:500].decode(errors="replace").strip(), 300)
    if _NOT_FOUND not in text.lower():
        raise BangerError(Code.INVALID, f"{program} failed: {text}")


def _of_answer(program: str, output: bytes) -> Credentials | None:
    try:
        answer: dict[str, Any] = msgspec.json.decode(output, type=dict)
        user, secret = str(answer["Username"]), str(answer["Secret"])
    except (msgspec.MsgspecError, KeyError):
        raise BangerError(Code.INVALID, f"the answer of {program} is no login") from None
    return Credentials("", "", secret) if user == _IDENTITY else Credentials(user, secret)
