"""References as users type them."""

import pytest

from services.images.oci.reference import (
    ArchiveReference,
    LayoutReference,
    is_digest,
    parse,
    parse_any,
)
from shared.errors import BangerError, Code

SUM = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "full", "familiar"),
    [
        ("alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        ("alpine:3.20", "docker.io/library/alpine:3.20", "alpine:3.20"),
        ("docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        ("index.docker.io/who/app:1", "docker.io/who/app:1", "who/app:1"),
        ("who/app", "docker.io/who/app:latest", "who/app:latest"),
        ("library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
        ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
        ("localhost:5000/app:1", "localhost:5000/app:1", "localhost:5000/app:1"),
        ("127.0.0.1:5000/a/b/c:x_Y.z-1", "127.0.0.1:5000/a/b/c:x_Y.z-1", None),
        ("[::1]:5000/app", "[::1]:5000/app:latest", None),
        ("Host/app", "Host/app:latest", None),
        ("r.example/a__b/c--d/e.f", "r.example/a__b/c--d/e.f:latest", None),
        (f"alpine@{SUM}", f"docker.io/library/alpine@{SUM}", f"alpine@{SUM}"),
        (f"alpine:3@{SUM}", f"docker.io/library/alpine:3@{SUM}", f"alpine:3@{SUM}"),
    ],
)
def test_a_short_name_means_what_docker_means(text: str, full: str, familiar: str | None) -> None:
    reference = parse(text)
    assert (str(reference), reference.familiar) == (full, familiar or full)
    assert parse(reference.familiar) == reference


@pytest.mark.parametrize(
    "text",
    [
        *("", ":", "/", "@", "a b", "app:", "app:-x", "app:" + "x" * 129, "App", "r.io/App"),
        *("-app", "app-", "a//b", "/app", "app/", "a___b", "a..b", "../app", "a/../b", "app\n"),
        *("http://r.io/app", "r.io:port/app", "r.io:123456/app", "-r.io/app", "r..io/app"),
        *("app@sha256:" + "a" * 63, "app@sha256:" + "A" * 64, "app@sha512:" + "a" * 128, "app@"),
        *("a" * 64, "x" * 5000, "r.io/" + "a" * 256, "user@r.io/app", "r.io/app?x=1", "r.io/a%2Fb"),
        "é/app",
    ],
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(BangerError) as caught:
        parse(text)
    assert caught.value.code is Code.INVALID


@pytest.mark.parametrize("text", ["", " "])
def test_nothing_is_no_reference(text: str) -> None:
    with pytest.raises(BangerError, match="it is empty"):
        parse_any(text)


def test_a_digest_comes_before_a_tag() -> None:
    assert parse(f"app:1@{SUM}").wanted == SUM
    assert parse("app:1").wanted == "1"


def test_another_default_registry_has_no_library_of_docker() -> None:
    reference = parse("app:1", "r.example")
    assert (str(reference), reference.familiar) == ("r.example/library/app:1", "app:1")
    assert parse("docker.io/app", "r.example").familiar == "docker.io/app:latest"


def test_the_default_registry_answers_elsewhere() -> None:
    assert parse("alpine").host == "registry-1.docker.io"
    assert parse("r.example/alpine").host == "r.example"


def test_images_on_disk() -> None:
    assert parse_any("oci:/a/b") == LayoutReference("/a/b", "")
    assert parse_any("oci:/a/b:1.2") == LayoutReference("/a/b", "1.2")
    assert parse_any("docker-archive:/x.tar") == ArchiveReference("/x.tar", "")
    found = parse_any("docker-archive:/x.tar:r.io:5000/app:1")
    assert found == ArchiveReference("/x.tar", "r.io:5000/app:1")
    assert str(parse_any("app")) == "docker.io/library/app:latest"
    with pytest.raises(BangerError, match="has to be a path"):
        parse_any("oci:")


def test_a_digest_is_a_whole_sha256() -> None:
    assert is_digest(SUM)
    for text in ("a" * 64, SUM[:-1], SUM + "a", SUM.upper(), "sha256:../" + "a" * 61, SUM + "\n"):
        assert not is_digest(text)
