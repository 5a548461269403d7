"""Logins of docker and podman."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from services.images.oci.reference import parse
from services.images.oci.registry.credentials import Credentials, auth_files, find_credentials
from shared.errors import BangerError

APP = parse("r.example:5000/team/app")


def login(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def found(tmp_path: Path, content: object, reference: str = str(APP)) -> Credentials | None:
    file = tmp_path / "auth.json"
    file.write_text(json.dumps(content))
    return find_credentials(parse(reference), str(file), {})


def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/docker-credential-test"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")


def test_the_most_exact_entry_counts(tmp_path: Path) -> None:
    auths = {
        "r.example:5000": login("host", "1"),
        "r.example:5000/team": login("team", "2:3"),
        "r.example:5000/team/other": login("other", "4"),
        "r.example": login("port", "5"),
    }
    assert found(tmp_path, {"auths": auths}) == Credentials("team", "2:3")
    assert found(tmp_path, {"auths": auths}, "r.example:5000/x") == Credentials("host", "1")
    assert found(tmp_path, {"auths": auths}, "q.example/x") is None


@pytest.mark.parametrize(
    "key", ["https://index.docker.io/v1/", "docker.io", "index.docker.io", "registry-1.docker.io"]
)
def test_the_default_registry_has_several_names(tmp_path: Path, key: str) -> None:
    assert found(tmp_path, {"auths": {key: login("a", "b")}}, "alpine") == Credentials("a", "b")


def test_keys_of_old_files_are_urls(tmp_path: Path) -> None:
    auths = {"https://r.example:5000/v2/": login("a", "b")}
    assert found(tmp_path, {"auths": auths}) == Credentials("a", "b")


def test_an_identity_token_comes_before_a_password(tmp_path: Path) -> None:
    entry = {"identitytoken": "secret", **login("a", "b")}
    credentials = found(tmp_path, {"auths": {"r.example:5000": entry}})
    assert credentials == Credentials("", "", "secret")
    assert "secret" not in repr(credentials)


def test_basic_is_user_and_password() -> None:
    assert Credentials("Aladdin", "open sesame").basic == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert "sesame" not in repr(Credentials("Aladdin", "open sesame"))


@pytest.mark.parametrize("content", ["{", "[]", '{"auths": []}', '{"auths": {"x": {"auth": 1}}}'])
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "auth.json"
    file.write_text(content)
    with pytest.raises(BangerError, match=r"auth\.json"):
        find_credentials(APP, str(file), {})


@pytest.mark.parametrize("auth", ["!", "bm9jb2xvbg==", "/w=="])
def test_a_damaged_entry_is_named(tmp_path: Path, auth: str) -> None:
    with pytest.raises(BangerError, match=r"auth\.json"):
        found(tmp_path, {"auths": {"r.example:5000": {"auth": auth}}})


def test_files_are_read_in_order(tmp_path: Path) -> None:
    environment = {
        "HOME": str(tmp_path / "home"),
        "XDG_RUNTIME_DIR": str(tmp_path / "run"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "DOCKER_CONFIG": str(tmp_path / "docker"),
    }
    paths = auth_files("", environment)
    assert [str(path.relative_to(tmp_path)) for path in paths] == [
        "run/containers/auth.json",
        "config/containers/auth.json",
        "docker/config.json",
    ]
    for number, path in enumerate(paths[1:]):
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"auths": {"r.example:5000": login(str(number), "x")}}))
    assert find_credentials(APP, "", environment) == Credentials("0", "x")
    named = environment | {"REGISTRY_AUTH_FILE": str(paths[2])}
    assert find_credentials(APP, "", named) == Credentials("1", "x")
    assert find_credentials(APP, str(paths[1]), named) == Credentials("0", "x")
    assert find_credentials(APP, str(tmp_path / "none"), named) is None


@pytest.mark.parametrize(
    "content",
    [
        {"credHelpers": {"r.example:5000": "test"}, "auths": {"r.example:5000": login("a", "b")}},
        {"credsStore": "test", "auths": {"r.example:5000": {}}},
    ],
)
def test_a_helper_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: dict[str, Any]
) -> None:
    script = """[ "$1 $(cat)" = "get r.example:5000" ] || exit 3
    echo '{"ServerURL": "x", "Username": "me", "Secret": "pass"}'"""
    helper(tmp_path, monkeypatch, script)
    assert found(tmp_path, content) == Credentials("me", "pass")


def test_what_a_file_holds_comes_before_the_helper_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper(tmp_path, monkeypatch, "exit 3")
    content = {"credsStore": "test", "auths": {"r.example:5000": login("a", "b")}}
    assert found(tmp_path, content) == Credentials("a", "b")


def test_a_helper_may_have_a_token_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = """case $(cat) in
    r.example:5000) echo '{"Username": "<token>", "Secret": "t"}' ;;
    *) echo "credentials not found in native keychain"; exit 1 ;; esac"""
    helper(tmp_path, monkeypatch, script)
    assert found(tmp_path, {"credsStore": "test"}) == Credentials("", "", "t")
    assert found(tmp_path, {"credsStore": "test"}, "alpine") is None


@pytest.mark.parametrize("script", ["echo no", "echo '[]'", "echo '{}'", "echo broken; exit 1"])
def test_a_helper_that_fails_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    helper(tmp_path, monkeypatch, script)
    with pytest.raises(BangerError, match="docker-credential-test"):
        found(tmp_path, {"credsStore": "test"})


@pytest.mark.parametrize("name", ["missing", "../x", "a b", ""])
def test_a_helper_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    content = {"credHelpers": {"r.example:5000": name}}
    with pytest.raises(BangerError, match=r"docker-credential-.*is not installed"):
        found(tmp_path, content)
