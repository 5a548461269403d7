"""What only this command knows of a source."""

from pathlib import Path

import pytest

from cli.commands.image.sources import auth_file, source_path


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("alpine:3.20", "alpine:3.20"),
        ("localhost:5000/a/b", "localhost:5000/a/b"),
        ("oci:dir", "oci:{here}/dir"),
        ("oci:./dir:latest", "oci:{here}/dir:latest"),
        ("oci:.//./dir", "oci:{here}/dir"),
        ("oci:../dir:latest", "oci:{here}/../dir:latest"),
        ("oci:/abs:1", "oci:/abs:1"),
        ("docker-archive:a.tar:alpine:3.20", "docker-archive:{here}/a.tar:alpine:3.20"),
    ],
)
def test_only_paths_are_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, sent: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert source_path(given) == sent.format(here=tmp_path)


def test_the_file_of_passwords_is_the_one_that_this_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    assert auth_file() == ""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REGISTRY_AUTH_FILE", "auth.json")
    assert auth_file() == f"{tmp_path}/auth.json"
