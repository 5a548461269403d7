"""Requests to a repository: redirects, refusals, other tries."""

import json

import pytest

from services.images.oci.reference import parse
from services.images.oci.registry.session import MOST_REDIRECTS, TRIES, RegistrySession
from services.images.oci.registry.transport import read_all
from shared.errors import BangerError, Code
from tests.oci.scripted_registry import Asked, Said, ScriptedRegistry

OK = frozenset({200})


class Client:
    """A session, and how long it would have waited."""

    def __init__(self, registry: ScriptedRegistry, **options: str) -> None:
        self.pauses: list[float] = []
        reference = parse(f"{registry.host}/app:1")
        self.told: list[tuple[str, str]] = []
        self.session = RegistrySession(
            reference,
            pause=self.pauses.append,
            tell=lambda *words: self.told.append(words),
            **options,  # type: ignore[arg-type]
        )

    def get(self, path: str = "blobs/x") -> bytes:
        return read_all(self.session.get(path, {}, OK), 1000)


def served(asked: Asked) -> Said:
    return Said(body=asked.path.encode())


def test_a_registry_without_tls_is_asked_in_plain_on_loopback(registry: ScriptedRegistry) -> None:
    registry.script = served
    assert Client(registry).get() == b"/v2/app/blobs/x"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed_without_the_login(
    registry: ScriptedRegistry, other: ScriptedRegistry, status: int
) -> None:
    registry.script = lambda _: Said(status, headers={"Location": f"http://{other.host}/data?k=1"})
    other.script = served
    client = Client(registry)
    client.session._authorization.header = "Bearer secret"
    assert client.get() == b"/data?k=1"
    assert registry.asked[0].headers["authorization"] == "Bearer secret"
    assert "authorization" not in other.asked[0].headers


def test_a_redirect_within_the_registry_keeps_the_login(registry: ScriptedRegistry) -> None:
    def script(asked: Asked) -> Said:
        return served(asked) if asked.path == "/y" else Said(307, headers={"Location": "/y"})

    registry.script = script
    client = Client(registry)
    client.session._authorization.header = "Bearer secret"
    assert client.get() == b"/y"
    assert registry.asked[1].headers["authorization"] == "Bearer secret"


def test_redirects_come_to_an_end(registry: ScriptedRegistry) -> None:
    registry.script = lambda _: Said(302, headers={"Location": "/again"})
    with pytest.raises(BangerError, match="redirects more than"):
        Client(registry).get()
    assert len(registry.asked) == MOST_REDIRECTS + 1


@pytest.mark.parametrize("target", ["file:///etc/passwd", "http://user:pw@127.0.0.1/x", "ftp://x/"])
def test_a_redirect_out_of_http_is_refused(registry: ScriptedRegistry, target: str) -> None:
    registry.script = lambda _: Said(302, headers={"Location": target})
    with pytest.raises(BangerError) as caught:
        Client(registry).get()
    assert caught.value.code is Code.DENIED


@pytest.mark.parametrize("url", ["http://r.example/x", "https://127.0.0.1/x", "https://[::1]:1/x"])
def test_a_registry_elsewhere_leads_neither_out_of_tls_nor_to_this_machine(url: str) -> None:
    session = RegistrySession(parse("r.example/app"), pause=lambda _: None)
    session._check_url("https://cdn.example/x")
    with pytest.raises(BangerError, match="which it may not"):
        session._check_url(url)


def test_a_busy_registry_is_asked_again_when_it_wants_to_be(registry: ScriptedRegistry) -> None:
    answers = [Said(429, headers={"Retry-After": "7"}), Said(503), Said(body=b"x")]
    registry.script = lambda _: answers.pop(0)
    client = Client(registry)
    assert client.get() == b"x"
    assert client.pauses[0] == 7
    stage, words = client.told[0]
    assert stage == "retry"
    assert "status 429; trying again in 7 s" in words
    assert 0 < client.pauses[1] < 7


def test_a_pause_of_less_than_a_second_is_told_as_one(
    registry: ScriptedRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.images.oci.registry.session._FIRST_PAUSE", 0.1)
    answers = [Said(503), Said(body=b"x")]
    registry.script = lambda _: answers.pop(0)
    client = Client(registry)
    assert client.get() == b"x"
    told = f"cannot download from {registry.host}: status 503; trying again in 1 s"
    assert client.told == [("retry", told)]


def test_tries_come_to_an_end(registry: ScriptedRegistry) -> None:
    registry.script = lambda _: Said(500, headers={"Retry-After": "99999999"})
    client = Client(registry)
    with pytest.raises(BangerError, match="status 500") as caught:
        client.get()
    assert caught.value.code is Code.UNREACHABLE
    assert len(registry.asked) == TRIES
    assert max(client.pauses) <= 30


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (404, Code.NOT_FOUND),
        (403, Code.DENIED),
        (400, Code.UNREACHABLE),
        (206, Code.UNREACHABLE),
        (304, Code.UNREACHABLE),
    ],
)
def test_a_refusal_says_what_the_registry_says(
    registry: ScriptedRegistry, status: int, code: Code
) -> None:
    problem = {"errors": [{"code": "MANIFEST_UNKNOWN\x1b[31m", "message": "m"}]}
    body = b"" if status == 304 else json.dumps(problem).encode()
    registry.script = lambda _: Said(status, body=body)
    with pytest.raises(BangerError) as caught:
        Client(registry).get()
    assert caught.value.code is code
    assert "\x1b" not in caught.value.message
    if status == 404:
        assert "MANIFEST_UNKNOWN" in caught.value.message
    assert len(registry.asked) == 1


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "127.1", "0x7f000001", "[::ffff:127.0.0.1]", "localhost.", "a.localhost"]
)
def test_no_spelling_of_this_machine_is_a_way_to_it(host: str) -> None:
    session = RegistrySession(parse("r.example/app"), pause=lambda _: None)
    with pytest.raises(BangerError, match="which it may not"):
        session._check_url(f"https://{host}/x")


@pytest.mark.parametrize("url", ["http://[::1/", "http://127.0.0.1:x/", "http://h:99999/"])
def test_a_url_that_is_none_is_refused_at_once(registry: ScriptedRegistry, url: str) -> None:
    for said in (
        Said(302, headers={"Location": url}),
        Said(401, headers={"WWW-Authenticate": f'Bearer realm="{url}"'}),
    ):
        registry.asked.clear()
        registry.script = lambda _, said=said: said  # type: ignore[misc]
        with pytest.raises(BangerError, match="sent a URL that is not valid") as caught:
            Client(registry).get()
        assert caught.value.code is Code.INVALID
        assert len(registry.asked) == 1


@pytest.mark.parametrize(
    "headers",
    [{"Location": "/x"}, {"WWW-Authenticate": "Basic"}],
)
def test_an_endless_body_that_is_of_no_use_is_not_read(
    registry: ScriptedRegistry, headers: dict[str, str]
) -> None:
    status = 302 if "Location" in headers else 401
    registry.script = lambda _: Said(status, headers=headers, endless=True)
    with pytest.raises(BangerError):
        Client(registry).get()


def test_a_document_that_breaks_is_asked_for_again(registry: ScriptedRegistry) -> None:
    answers = [Said(body=b"0123456789", cut=4), Said(body=b"0123456789")]
    registry.script = lambda _: answers.pop(0)
    assert Client(registry).session.get_whole("blobs/x", {}, 100)[0] == b"0123456789"
    assert not answers


def test_a_document_that_always_breaks_is_unreachable(registry: ScriptedRegistry) -> None:
    registry.script = lambda _: Said(body=b"0123456789", cut=4)
    with pytest.raises(BangerError) as caught:
        Client(registry).session.get_whole("blobs/x", {}, 100)
    assert caught.value.code is Code.UNREACHABLE
    assert len(registry.asked) == TRIES
