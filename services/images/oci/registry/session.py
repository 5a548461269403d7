"""Requests to one repository of a registry: its scheme, who asks, redirects, and another try.

OCI distribution specification, "Pull"; token authentication of the distribution project.
docs/oci.md holds each request against the specification's wording.
"""

import random
import threading
from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import msgspec

from services.images.oci.reference import Reference
from services.images.oci.registry.authorization import Authorization
from services.images.oci.registry.transport import (
    NoTls,
    RequestInterrupted,
    Response,
    Transport,
    discard,
    is_loopback,
    leads_here,
    read_all,
    split_url,
)
from shared.errors import BangerError, Code
from shared.plain_text import printable

MOST_REDIRECTS = 5
TRIES = 6
_FIRST_PAUSE, _LONGEST_PAUSE = 0.3, 30.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BUSY = frozenset({408, 429, 500, 502, 503, 504})
_LONGEST_PROBLEM = 1 << 16

T = TypeVar("T")

Pause = Callable[[float], None]
"""Waits so many seconds; raises when the whole pull has been given up."""
Tell = Callable[[str, str], None]
"""Takes a stage and a sentence about it, for whoever waits for the pull."""


def tell_nobody(_stage: str, _words: str) -> None:
    """A ``Tell`` of pulls that nobody waits for."""


class _RefusalCause(msgspec.Struct):
    code: str = ""
    message: str = ""


class _RefusalBody(msgspec.Struct):
    """The body of a refusal (distribution specification, "Error Codes")."""

    errors: list[_RefusalCause] = []


class RegistrySession:
    """One repository, and what is known of its registry. Threads may share it."""

    def __init__(
        self,
        reference: Reference,
        *,
        auth_file: str = "",
        insecure: bool = False,
        pause: Pause,
        tell: Tell = tell_nobody,
    ) -> None:
        self.reference = reference
        self._transport = Transport(reference.host, insecure=insecure)
        self._may_be_plain = insecure or is_loopback(_hostname(reference.host))
        self._authorization = Authorization(reference, self._transport, auth_file, self._check_url)
        self._pause = pause
        self._tell = tell
        self._lock = threading.Lock()
        self._scheme = ""

    def get(self, path: str, headers: Mapping[str, str], allowed: frozenset[int]) -> Response:
        """GET of a path below ``/v2/<name>/`` that ends with one of the ``allowed`` statuses.

        What passes by itself (a broken connection, a busy registry) is tried again.

        Raises:
            BangerError: ``not_found``, ``denied``, ``unreachable`` or ``invalid``.
        """
        return self._persist(lambda: self._ask(path, headers, allowed))

    def get_whole(
        self, path: str, headers: Mapping[str, str], limit: int
    ) -> tuple[bytes, Mapping[str, str]]:
        """The body and the headers of what ``get`` finds with status 200.

        Raises:
            BangerError: as ``get``; ``too_large`` for a body of more than ``limit`` bytes.
        """

        def ask() -> tuple[bytes, Mapping[str, str]]:
            response = self._ask(path, headers, frozenset({200}))
            return read_all(response, limit), response.headers

        return self._persist(ask)

    def _persist(self, action: Callable[[], T]) -> T:
        """What ``action`` returns, tried again when it is interrupted."""
        for attempt in range(1, TRIES + 1):
            try:
                return action()
            except RequestInterrupted as problem:
                if attempt == TRIES:
                    raise self.unreachable(problem) from problem
                self.wait(attempt, problem)
        raise AssertionError("a loop that ends by itself")

    def wait(self, attempt: int, problem: RequestInterrupted) -> None:
        """Wait as long as the registry asks for, or longer after each attempt."""
        own = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempt) * random.uniform(0.5, 1)
        seconds = min(_LONGEST_PAUSE, max(own, problem.pause))
        told = max(1, round(seconds))
        self._tell("retry", f"{self._complaint(problem)}; trying again in {told} s")
        self._pause(seconds)

    def unreachable(self, problem: RequestInterrupted) -> BangerError:
        return BangerError(
            Code.UNREACHABLE,
            self._complaint(problem),
            hint="check the network, and try again; what has arrived is kept",
        )

    def _complaint(self, problem: RequestInterrupted) -> str:
        return f"cannot download from {self.reference.registry}: {printable(problem.problem, 300)}"

    def close(self) -> None:
        self._transport.close()

    def _ask(self, path: str, headers: Mapping[str, str], allowed: frozenset[int]) -> Response:
        """One try; a second request when the registry wants to know who asks."""
        url = f"{self._base()}/v2/{self.reference.repository}/{path}"
        known = self._authorization.header
        response = self._follow(url, headers, known)
        if response.status == 401:
            challenge = ", ".join(response.headers.getlist("WWW-Authenticate"))
            discard(response)
            self._authorization.renew(challenge, known)
            response = self._follow(url, headers, self._authorization.header)
        if response.status in allowed:
            return response
        raise self._refusal(response)

    def _follow(self, url: str, headers: Mapping[str, str], authorization: str) -> Response:
        """The answer behind the redirects. Only the registry itself learns who asks."""
        origin = _origin(url)
        for _ in range(MOST_REDIRECTS + 1):
            own = {"Authorization": authorization} if authorization else {}
            asked = {**headers, **own} if _origin(url) == origin else headers
            response = self._get(url, asked)
            target = response.headers.get("Location", "")
            if response.status not in _REDIRECTS or not target:
                return response
            discard(response)
            split_url(target, self.reference.registry)
            url = urljoin(url, target)
            self._check_url(url)
        raise BangerError(
            Code.INVALID, f"{self.reference.registry} redirects more than {MOST_REDIRECTS} times"
        )

    def _get(self, url: str, headers: Mapping[str, str]) -> Response:
        try:
            return self._transport.get(url, headers)
        except NoTls as problem:
            raise BangerError(
                Code.UNREACHABLE,
                printable(str(problem), 300),
                hint="use --insecure for a registry without TLS",
            ) from problem

    def _base(self) -> str:
        """``https://HOST``, or ``http://HOST`` where that is allowed and no TLS is spoken."""
        with self._lock:
            if not self._scheme:
                self._scheme = self._find_scheme() if self._may_be_plain else "https"
        return f"{self._scheme}://{self.reference.host}"

    def _find_scheme(self) -> str:
        try:
            discard(self._transport.get(f"https://{self.reference.host}/v2/", {}))
        except NoTls:
            return "http"
        return "https"

    def _check_url(self, url: str) -> None:
        """Raise ``denied`` for a URL of the registry's choice that it may not lead to: out of TLS,
        or from elsewhere to the services of this machine."""
        parts = split_url(url, self.reference.registry)
        host = parts.hostname or ""
        own_host = _hostname(self.reference.host)
        plain = parts.scheme != "https" and not (self._scheme == "http" and parts.scheme == "http")
        inwards = leads_here(host) and not leads_here(own_host)
        if plain or inwards or parts.username is not None:
            where = printable(f"{parts.scheme}://{parts.netloc}", 200)
            raise BangerError(
                Code.DENIED, f"{self.reference.registry} leads to {where}, which it may not"
            )

    def _refusal(self, response: Response) -> Exception:
        status = response.status
        said = self._said(response)
        where = f"{self.reference.registry}/{self.reference.repository}"
        if status in _BUSY:
            return RequestInterrupted(f"status {status}{said}", _pause_of(response))
        if status == 404:
            return BangerError(Code.NOT_FOUND, f"there is no {self.reference} (status 404{said})")
        if status in (401, 403):
            return BangerError(
                Code.DENIED,
                f"access to {where} is denied (status {status}{said})",
                hint=f"it may not exist, or log in: docker login {self.reference.registry}",
            )
        return BangerError(Code.UNREACHABLE, f"{where} answered with status {status}{said}")

    def _said(self, response: Response) -> str:
        try:
            content = read_all(response, _LONGEST_PROBLEM)
            problems = msgspec.json.decode(content, type=_RefusalBody).errors
        except (RequestInterrupted, BangerError, msgspec.MsgspecError, RecursionError):
            return ""
        return "".join(f", {printable(p.code or p.message, 200)}" for p in problems[:1])


def _pause_of(response: Response) -> float:
    """Retry-After in seconds (RFC 9110 section 10.2.3); a date counts as none."""
    said = response.headers.get("Retry-After", "")
    return min(float(said), _LONGEST_PAUSE) if said.isascii() and said.isdigit() else 0.0


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def _hostname(host: str) -> str:
    return urlsplit(f"//{host}").hostname or ""
