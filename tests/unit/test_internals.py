"""docs/internals.md names every key of the configuration and every file of a VM."""

import re
from pathlib import Path

import msgspec
import pytest

from shared.config import Config
from shared.vm import files

DOCUMENT = (Path(__file__).parents[2] / "docs" / "internals.md").read_text()
ROWS = [line for line in DOCUMENT.splitlines() if line.startswith("|")]
NAMED = {name for row in ROWS for name in re.findall(r"`([^`]+)`", row.split("|")[1])}


def keys() -> list[tuple[str, str]]:
    """(section, key) of every key; the section is "" at the top."""
    found: list[tuple[str, str]] = []
    for field in msgspec.structs.fields(Config):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            found += [(field.name, each.name) for each in msgspec.structs.fields(field.type)]
        else:
            found.append(("", field.name))
    return found


@pytest.mark.parametrize(("section", "key"), keys())
def test_every_key_of_the_configuration_is_there(section: str, key: str) -> None:
    """A row may name several keys of one section: `nat.enabled`, `.bridge`."""
    if section:
        rows = [row for row in ROWS if f"`{section}." in row]
        assert any(f"`{section}.{key}`" in row or f"`.{key}`" in row for row in rows)
    else:
        assert key in NAMED


@pytest.mark.parametrize(
    "name",
    sorted(
        value for name, value in vars(files).items() if name.isupper() and isinstance(value, str)
    ),
)
def test_every_file_of_a_vm_is_there(name: str) -> None:
    assert {
        name,
        f"vms/<id>/{name}",
        f"vms/<id>/{name}/…",
    } & NAMED or f"`vms/<id>/{name}/" in DOCUMENT
