from dataclasses import replace
from pathlib import Path

import pytest

from services.images.sources.debian.catalogue import (
    IMAGES,
    KERNELS,
    CatalogueError,
    load_images,
    load_kernels,
)
from shared.config import DefaultsConfig


def test_the_defaults_of_the_configuration_are_in_the_catalogue() -> None:
    defaults = DefaultsConfig()
    assert IMAGES[defaults.image].name == defaults.image
    assert KERNELS[defaults.kernel].name == defaults.kernel


def test_an_image_has_what_banger_itself_needs_in_a_guest() -> None:
    for recipe in IMAGES.values():
        assert {"systemd-sysv", "openssh-server", "qemu-guest-agent", "git"} <= set(recipe.packages)


def test_source_names_the_revision_of_the_recipe_from_the_second_on() -> None:
    first = replace(IMAGES["debian-bookworm"], revision=1)
    assert first.source == "debian:bookworm"
    assert replace(first, revision=2, included=("perl",)).source == "debian:bookworm.2+perl"


def test_the_catalogue_has_what_the_documents_say() -> None:
    assert list(IMAGES) == ["debian-bookworm", "debian-bookworm-dev", "debian-trixie"]
    assert list(KERNELS) == ["debian-bookworm", "debian-trixie"]
    sources = [recipe.source for recipe in IMAGES.values()]
    assert sources == ["debian:bookworm.3", "debian:bookworm-dev.2", "debian:trixie"]
    lean, dev = IMAGES["debian-bookworm"], IMAGES["debian-bookworm-dev"]
    assert dev.packages[: len(lean.packages)] == lean.packages
    assert {"build-essential", "python3-venv", "nodejs", "podman", "jq"} <= set(dev.packages)


GOOD = """source = "debian"
name = "one"
suite = "sid"
revision = 1
unpacked_mib = 100
description = "One"
[packages]
all = ["git"]
"""


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("one", GOOD + "more = 1\n", "Expected `array`, got `int`"),
        ("one", GOOD.replace("revision = 1", "revision = 0"), "revision"),
        ("one", GOOD.replace("suite = ", "suit = "), "suit"),
        ("one", GOOD.replace('"git"', '"git-"'), "packages"),
        ("one", GOOD.replace('"git"', '"--help"'), "packages"),
        ("one", GOOD.replace('"git"', '"git", "git"'), "listed twice: git"),
        ("one", GOOD.replace('"one"', '"One"'), "not a valid name"),
        ("one", GOOD.replace('"sid"', '"../sid"'), "suite"),
        ("one", GOOD.replace('"debian"', '"fedora"'), "fedora"),
        ("one", GOOD.replace('"One"', '"\\u001b[31m"'), "description"),
        ("one", "extends = 'two'\n" + GOOD, "extends 'two'"),
        ("one", GOOD + "[files]\n'/../x' = ''", "files"),
        ("one", GOOD + "[files]\n'x' = ''", "files"),
        ("two", GOOD, "holds 'one'"),
        ("one", "name = ", "one.image.toml"),
    ],
)
def test_a_file_that_is_wrong_is_refused_by_name(
    tmp_path: Path, file: str, text: str, problem: str
) -> None:
    (tmp_path / f"{file}.image.toml").write_text(text)
    with pytest.raises(CatalogueError) as raised:
        load_images(tmp_path)
    assert f"{file}.image.toml" in str(raised.value)
    assert problem in str(raised.value)


def test_a_kernel_of_another_schema_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one.kernel.toml").write_text(GOOD)
    with pytest.raises(CatalogueError, match=r"one\.kernel\.toml"):
        load_kernels(tmp_path)


def test_an_image_takes_packages_and_files_of_the_one_that_it_extends(tmp_path: Path) -> None:
    (tmp_path / "one.image.toml").write_text(GOOD + "[files]\n'/a' = '1'\n'/b' = '1'\n")
    two = GOOD.replace('"one"', '"two"').replace('"git"', '"gdb"') + "[files]\n'/b' = '2'\n"
    (tmp_path / "two.image.toml").write_text("extends = 'one'\nvariant = 'x'\n" + two)
    made = load_images(tmp_path)["two"]
    assert (made.packages, made.source) == (("git", "gdb"), "debian:sid-x")
    assert made.files == (("/a", "1"), ("/b", "2"))
