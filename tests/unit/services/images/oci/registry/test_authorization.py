"""Who asks: Basic, tokens, and nobody."""

import base64
import json
import urllib.parse
from pathlib import Path

import pytest

from services.images.oci.reference import parse
from services.images.oci.registry.session import RegistrySession
from services.images.oci.registry.transport import read_all
from shared.errors import BangerError, Code
from tests.oci.scripted_registry import Asked, Said, ScriptedRegistry

OK = frozenset({200})
BASIC = f"Basic {base64.b64encode(b'me:pass').decode()}"


def get(registry: ScriptedRegistry, auth_file: str = "") -> bytes:
    reference = parse(f"{registry.host}/team/app:1")
    session = RegistrySession(reference, auth_file=auth_file, pause=lambda _: None)
    return read_all(session.get("blobs/x", {}, OK), 100)


def login(tmp_path: Path, registry: ScriptedRegistry, **more: str) -> str:
    entry = {"auth": base64.b64encode(b"me:pass").decode(), **more}
    (tmp_path / "auth.json").write_text(json.dumps({"auths": {registry.host: entry}}))
    return str(tmp_path / "auth.json")


def guarded(registry: ScriptedRegistry, challenge: str, expected: str) -> None:
    """Let the registry want ``expected`` as Authorization."""

    def script(asked: Asked) -> Said:
        if asked.path == "/v2/" or asked.headers.get("authorization") == expected:
            return Said(body=b"in")
        return Said(401, headers={"WWW-Authenticate": challenge})

    registry.script = script


def tokens(place: ScriptedRegistry, answer: object, status: int = 200) -> str:
    """Let ``place`` give tokens; returns the challenge that names it."""
    place.script = lambda _: Said(status, body=json.dumps(answer).encode())
    return f'Bearer realm="http://{place.host}/token",service="reg"'


def test_basic_is_only_sent_when_it_is_asked_for(
    registry: ScriptedRegistry, tmp_path: Path
) -> None:
    guarded(registry, 'Basic realm="r"', BASIC)
    assert get(registry, login(tmp_path, registry)) == b"in"
    sent = [each.headers.get("authorization") for each in registry.asked if "blobs" in each.path]
    assert sent == [None, BASIC]


def test_nobody_gets_a_token(registry: ScriptedRegistry, other: ScriptedRegistry) -> None:
    guarded(registry, tokens(other, {"token": "t0k"}), "Bearer t0k")
    assert get(registry) == b"in"
    query = urllib.parse.parse_qs(other.paths[0].partition("?")[2])
    assert query == {"service": ["reg"], "scope": ["repository:team/app:pull"]}
    assert "authorization" not in other.asked[0].headers


def test_the_scope_is_the_registrys(registry: ScriptedRegistry, other: ScriptedRegistry) -> None:
    challenge = tokens(other, {"access_token": "t0k"}) + ',scope="repository:x:pull"'
    guarded(registry, challenge, "Bearer t0k")
    assert get(registry) == b"in"
    assert "scope=repository%3Ax%3Apull" in other.paths[0]


def test_a_login_goes_to_the_place_for_tokens_alone(
    registry: ScriptedRegistry, other: ScriptedRegistry, tmp_path: Path
) -> None:
    guarded(registry, tokens(other, {"token": "t0k"}), "Bearer t0k")
    assert get(registry, login(tmp_path, registry)) == b"in"
    assert other.asked[0].headers["authorization"] == BASIC
    assert BASIC not in [each.headers.get("authorization") for each in registry.asked]


def test_an_identity_token_is_posted(
    registry: ScriptedRegistry, other: ScriptedRegistry, tmp_path: Path
) -> None:
    guarded(registry, tokens(other, {"access_token": "t0k"}), "Bearer t0k")
    assert get(registry, login(tmp_path, registry, identitytoken="secret")) == b"in"
    form = dict(urllib.parse.parse_qsl(other.asked[0].body.decode()))
    assert other.asked[0].method == "POST"
    assert (form["grant_type"], form["refresh_token"]) == ("refresh_token", "secret")
    assert form["service"] == "reg"


def test_a_token_that_has_run_out_is_replaced(
    registry: ScriptedRegistry, other: ScriptedRegistry
) -> None:
    challenge = tokens(other, {"token": "one"})
    guarded(registry, challenge, "Bearer one")
    session = RegistrySession(parse(f"{registry.host}/app:1"), pause=lambda _: None)
    read_all(session.get("blobs/x", {}, OK), 10)
    guarded(registry, tokens(other, {"token": "two"}), "Bearer two")
    assert read_all(session.get("blobs/x", {}, OK), 10) == b"in"
    assert len(other.asked) == 2


@pytest.mark.parametrize(
    ("answer", "status"),
    [({}, 200), ([], 200), ({"token": "a\nb"}, 200), ({"token": "x" * 70_000}, 200), ({}, 401)],
)
def test_no_token_is_no_entry(
    registry: ScriptedRegistry, other: ScriptedRegistry, answer: object, status: int
) -> None:
    guarded(registry, tokens(other, answer, status), "Bearer x")
    with pytest.raises(BangerError, match="gives no token") as caught:
        get(registry)
    assert caught.value.code is Code.DENIED


@pytest.mark.parametrize(
    "challenge", ["", "Negotiate", "Bearer", 'Basic realm="r"', 'Bearer realm="ftp://x/"']
)
def test_a_challenge_that_cannot_be_answered_is_denied(
    registry: ScriptedRegistry, challenge: str
) -> None:
    guarded(registry, challenge, "never")
    with pytest.raises(BangerError) as caught:
        get(registry)
    assert caught.value.code is Code.DENIED


def test_a_login_that_is_refused_is_not_sent_again(
    registry: ScriptedRegistry, tmp_path: Path
) -> None:
    guarded(registry, 'Basic realm="r"', "never")
    with pytest.raises(BangerError, match="is denied"):
        get(registry, login(tmp_path, registry))
    assert sum("blobs" in path for path in registry.paths) == 2
