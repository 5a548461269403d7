"""What is a port, and what only looks like one."""

import pytest

from shared.contract.port import parse_port


@pytest.mark.parametrize(("word", "port"), [("1", 1), ("80", 80), ("00080", 80), ("65535", 65535)])
def test_a_port_is_its_number(word: str, port: int) -> None:
    assert parse_port(word) == port


@pytest.mark.parametrize(
    "word", ["", "0", "65536", "-1", "+1", " 1", "1_0", "٣", "http", "9" * 5000]
)
def test_anything_else_is_none(word: str) -> None:
    assert parse_port(word) is None
