"""Single requests."""

import pytest

from services.images.oci.registry.transport import (
    RequestInterrupted,
    Transport,
    chunks,
    is_loopback,
    read_all,
)
from shared.errors import BangerError, Code
from tests.loopback import address
from tests.oci.scripted_registry import Said, ScriptedRegistry


def test_a_body_comes_as_it_is_stored(registry: ScriptedRegistry) -> None:
    registry.script = lambda _: Said(body=b"\x1f\x8b no gzip", headers={"Content-Encoding": "gzip"})
    response = Transport(registry.host).get(f"http://{registry.host}/x", {"A": "1"})
    assert read_all(response, 100) == b"\x1f\x8b no gzip"
    headers = registry.asked[0].headers
    assert headers["accept-encoding"] == "identity"
    assert headers["user-agent"].startswith("banger/")
    assert headers["a"] == "1"


def test_redirects_are_the_callers(registry: ScriptedRegistry) -> None:
    registry.script = lambda _: Said(302, headers={"Location": "/elsewhere"})
    assert Transport(registry.host).get(f"http://{registry.host}/x", {}).status == 302
    assert registry.paths == ["/x"]


def test_a_form_is_posted(registry: ScriptedRegistry) -> None:
    registry.script = lambda _: Said(body=b"ok")
    Transport(registry.host).post_form(f"http://{registry.host}/t", {"a": "b c&d"})
    asked = registry.asked[0]
    assert (asked.method, asked.body) == ("POST", b"a=b+c%26d")
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"


def test_a_connection_that_breaks_says_so(registry: ScriptedRegistry) -> None:
    registry.script = lambda _: Said(body=b"x" * 1000, cut=10)
    response = Transport(registry.host).get(f"http://{registry.host}/x", {})
    with pytest.raises(RequestInterrupted):
        list(chunks(response))


def test_more_than_the_limit_is_not_read(registry: ScriptedRegistry) -> None:
    registry.script = lambda _: Said(body=b"x" * 3_000_000)
    response = Transport(registry.host).get(f"http://{registry.host}/x", {})
    with pytest.raises(BangerError) as caught:
        read_all(response, 1000)
    assert caught.value.code is Code.TOO_LARGE


def test_nobody_there_is_worth_another_try() -> None:
    with pytest.raises(RequestInterrupted, match=r"cannot be reached: .*refused"):
        Transport("x").get(f"http://{address(13)}:9/", {})


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/", "//x/", "http:///x", "x"])
def test_only_urls_of_http_are_opened(url: str) -> None:
    with pytest.raises(BangerError) as caught:
        Transport("r").get(url, {})
    assert caught.value.code is Code.INVALID


def test_what_this_machine_is_called() -> None:
    for host in ("localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1", "[::1]"):
        assert is_loopback(host)
    for host in ("localhost.example", "10.0.0.1", "r.example", "", "127.0.0.1.example"):
        assert not is_loopback(host)
