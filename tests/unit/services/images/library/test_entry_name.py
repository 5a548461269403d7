"""Names of images: those of users, those of sources, and their links."""

import pytest

from services.images.library.entry_name import (
    check_entry_name,
    check_user_name,
    file_name,
    name_of,
)
from shared.errors import BangerError, Code


@pytest.mark.parametrize("name", ["web", "web:2", "web:2.1_rc-3", "a:A"])
def test_a_user_may_add_a_tag(name: str) -> None:
    assert check_user_name(name) == check_entry_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ":2", "web:", "web:-2", "web:2/3", "web:../x", "team/web", "Web", "web:2:3", "."]
)
def test_other_names_of_users_are_refused(name: str) -> None:
    with pytest.raises(BangerError) as raised:
        check_user_name(name)
    assert raised.value.code is Code.INVALID


@pytest.mark.parametrize(
    "name",
    [
        "alpine:3.20",
        "library/alpine",
        "127.0.0.1:5000/team/web__x:V2",
        "registry.example/a-b/c.d@sha256:" + "0a" * 32,
    ],
)
def test_a_sources_name_has_a_link_and_is_read_back_from_it(name: str) -> None:
    assert check_entry_name(name) == name
    assert "/" not in file_name(name)
    assert name_of(file_name(name)) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "..",
        "../web",
        "/web",
        "a//b",
        "a/../b",
        "a/",
        "a%2Fb",
        "a b",
        "a\n",
        "\x1b[31m",
        ".banger-new-x",
        "a" * 221,
        "/".join("a" * 100),
        "0123456789abcdef",
        "id=0123456789abcdef",
        "web@sha256:12",
    ],
)
def test_what_no_source_may_call_an_image_is_refused(name: str) -> None:
    with pytest.raises(BangerError) as raised:
        check_entry_name(name)
    assert raised.value.code is Code.INVALID
