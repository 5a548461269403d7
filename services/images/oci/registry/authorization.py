"""The header Authorization for one repository: nothing, Basic, or a token that is fetched.

Token authentication of the distribution project (docs: spec/auth/token, spec/auth/oauth).
"""

import threading
from collections.abc import Callable
from urllib.parse import urlencode

import msgspec

from services.images.oci.reference import Reference
from services.images.oci.registry.challenge import AuthChallenge, read_challenges
from services.images.oci.registry.credentials import Credentials, find_credentials
from services.images.oci.registry.transport import (
    NoTls,
    RequestInterrupted,
    Response,
    Transport,
    read_all,
)
from shared.errors import BangerError, Code

_CLIENT = "banger"
_LONGEST_ANSWER = 1 << 20
_LONGEST_TOKEN = 1 << 16


class _TokenAnswer(msgspec.Struct):
    token: str = ""
    access_token: str = ""


class Authorization:
    """``header`` is "" until the registry has asked. Threads may share it."""

    def __init__(
        self,
        reference: Reference,
        transport: Transport,
        auth_file: str,
        check_url: Callable[[str], None],
    ) -> None:
        self.header = ""
        self._reference = reference
        self._transport = transport
        self._auth_file = auth_file
        self._check_url = check_url
        self._lock = threading.Lock()

    def renew(self, header: str, used: str) -> None:
        """Answer the challenges of ``header`` (WWW-Authenticate) to a request made with ``used``.

        Another thread may have answered them meanwhile. Raises ``denied`` when there is no answer.
        """
        with self._lock:
            if self.header == used:
                self.header = self._answer(read_challenges(header), used)

    def _answer(self, challenges: list[AuthChallenge], used: str) -> str:
        credentials = find_credentials(self._reference, self._auth_file)
        for challenge in challenges:
            if challenge.scheme == "bearer" and "realm" in challenge.parameters:
                return f"Bearer {self._token(challenge, credentials)}"
            basic = challenge.scheme == "basic" and credentials and credentials.password
            if basic and credentials and credentials.basic != used:
                return credentials.basic
        said = "does not take the login that is here" if credentials else "wants a login"
        raise self._denied(said)

    def _token(self, challenge: AuthChallenge, credentials: Credentials | None) -> str:
        realm = challenge.parameters["realm"]
        self._check_url(realm)
        try:
            response = self._ask(realm, challenge, credentials)
            content = read_all(response, _LONGEST_ANSWER)
        except NoTls as problem:
            raise self._denied(f"names a token server without TLS ({problem})") from problem
        if response.status in (429, 500, 502, 503, 504):
            raise RequestInterrupted(f"the token server answered with status {response.status}")
        if response.status != 200:
            raise self._denied(f"gives no token (status {response.status})")
        try:
            answer = msgspec.json.decode(content, type=_TokenAnswer)
        except (msgspec.MsgspecError, RecursionError):
            raise self._denied("gives no token: its answer is not valid") from None
        token = answer.token or answer.access_token
        if (
            not token
            or len(token) > _LONGEST_TOKEN
            or not token.isascii()
            or not token.isprintable()
        ):
            raise self._denied("gives no token")
        return token

    def _ask(
        self, realm: str, challenge: AuthChallenge, credentials: Credentials | None
    ) -> Response:
        asked = {
            "service": challenge.parameters.get("service", ""),
            "scope": challenge.parameters.get("scope")
            or f"repository:{self._reference.repository}:pull",
        }
        if credentials and credentials.identity_token:
            secret = {"refresh_token": credentials.identity_token}
            form = {"grant_type": "refresh_token", "client_id": _CLIENT, **secret}
            return self._transport.post_form(realm, {**asked, **form})
        query = urlencode({name: value for name, value in asked.items() if value})
        url = f"{realm}{'&' if '?' in realm else '?'}{query}"
        return self._transport.get(url, {"Authorization": credentials.basic} if credentials else {})

    def _denied(self, problem: str) -> BangerError:
        registry = self._reference.registry
        return BangerError(
            Code.DENIED,
            f"{registry} {problem}",
            hint=f"log in: docker login {registry}, or podman login {registry}",
        )
