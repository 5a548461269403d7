"""What goes into a guest of identities and of origin's URL, and that no secret does."""

from pathlib import Path

import pytest

from services.workspaces.repository.configuration import Configuration, read_configuration
from services.workspaces.repository.discovery import discover
from services.workspaces.repository.settings import (
    CarriedSettings,
    GitIdentity,
    carried_settings,
    without_secrets,
)
from tests.repositories import git, ordinary, write


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.org/a/b.git", "https://example.org/a/b.git"),
        ("https://user:secret@example.org:8443/b.git", "https://example.org:8443/b.git"),
        ("https://secret@example.org/b.git", "https://example.org/b.git"),
        ("https://x-access-token:secret@example.org/b", "https://example.org/b"),
        ("https://user:se@cret@example.org/b", "https://example.org/b"),
        ("HTTPS://secret@example.org/b", "HTTPS://example.org/b"),
        ("http://:secret@example.org/", "http://example.org/"),
        ("https://example.org/b?private_token=secret", "https://example.org/b"),
        ("https://example.org/b@2#secret", "https://example.org/b@2"),
        ("ftp://user:secret@example.org/b", "ftp://example.org/b"),
        ("ssh://git@example.org:22/b.git", "ssh://git@example.org:22/b.git"),
        ("ssh://git:secret@example.org/b.git", "ssh://git@example.org/b.git"),
        ("git@example.org:a/b.git", "git@example.org:a/b.git"),
        ("foreign::https://secret@example.org/b", "foreign::https://example.org/b"),
        ("/srv/git/b.git", "/srv/git/b.git"),
        ("../sibling", "../sibling"),
        ("file:///srv/git/b#c?d.git", "file:///srv/git/b#c?d.git"),
        ("ext::sh -c true", "ext::sh -c true"),
        ("", ""),
    ],
)
def test_a_url_goes_in_without_its_secret(url: str, expected: str) -> None:
    assert without_secrets(url) == expected
    assert "secret" not in expected


def test_a_secret_that_is_removed_is_told() -> None:
    def origin(url: str) -> CarriedSettings:
        return carried_settings(Configuration((("local", "remote.origin.url", url),)))

    assert origin("https://u:p@example.org/b").secret_removed
    assert not origin("https://example.org/b").secret_removed
    assert origin("https://example.org/\x1b[31m").origin == ""
    assert carried_settings(Configuration()) == CarriedSettings()


def test_short_forms_of_a_url_are_what_they_stand_for() -> None:
    found = carried_settings(
        Configuration(
            (
                ("global", "url.https://example.org/.insteadof", "ex:"),
                ("global", "url.https://token@example.org/team/.insteadof", "ex:team/"),
                ("local", "remote.origin.url", "ex:team/b.git"),
            )
        )
    )
    assert found.origin == "https://example.org/team/b.git"
    assert found.secret_removed


def test_the_users_identity_is_told_from_the_repositorys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    top = ordinary(tmp_path / "work/repository")
    text = "[user]\n\tname = Uma User\n\temail = uma@example.org\n"
    conditional = f'[includeIf "gitdir:{tmp_path}/work/"]\n\tpath = work.config\n'
    write(tmp_path, "home/.gitconfig", text + conditional)
    write(tmp_path, "home/work.config", "[user]\n\temail = uma@work.example\n")
    git(top, "config", "user.name", "Project\x1bName")
    git(top, "config", "user.email", "project@example.org")
    found = carried_settings(read_configuration(discover(top)))
    assert found.user == GitIdentity("Uma User", "uma@work.example")
    assert found.own == GitIdentity("", "project@example.org")
