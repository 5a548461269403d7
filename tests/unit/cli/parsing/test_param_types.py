"""What may be written on the command line."""

import click
import pytest

from cli.parsing.param_types import EnvironmentVariable, IdleLimit, MemoryMib, Size, VmName


@pytest.mark.parametrize(
    ("text", "size"), [("512M", 512 << 20), ("2G", 2 << 30), ("8GiB", 8 << 30), ("1tb", 1 << 40)]
)
def test_a_size_is_read_in_powers_of_1024(text: str, size: int) -> None:
    assert Size().convert(text, None, None) == size


@pytest.mark.parametrize("text", ["0G", "-1G", "8", "G", "1.5G", "8X", "", "٣G", "9" * 30 + "G"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Size().convert(text, None, None)


@pytest.mark.parametrize(("text", "mib"), [("2048", 2048), ("2G", 2048), ("512M", 512)])
def test_memory_is_in_mib(text: str, mib: int) -> None:
    assert MemoryMib().convert(text, None, None) == mib


@pytest.mark.parametrize("text", ["0", "-512", "512K", "much"])
def test_what_is_no_memory_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        MemoryMib().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "limit"), [("30m", 1800.0), ("never", 0.0), ("0", 0.0), ("default", "default")]
)
def test_an_idle_limit_is_a_duration_or_a_word(text: str, limit: float | str) -> None:
    assert IdleLimit().convert(text, None, None) == limit


@pytest.mark.parametrize("text", ["soon", "", "-1", "367d"])
def test_what_is_no_idle_limit_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        IdleLimit().convert(text, None, None)


@pytest.mark.parametrize("name", ["a", "web-2", "0", "a" * 63])
def test_a_name_is_taken_as_it_is(name: str) -> None:
    assert VmName().convert(name, None, None) == name


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a_b", "a.b", "a" * 64, "ä", "a\n"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(click.BadParameter):
        VmName().convert(name, None, None)


def test_a_variable_keeps_everything_after_the_first_equals_sign() -> None:
    assert EnvironmentVariable().convert("A=b=c d", None, None) == ("A", "b=c d")


@pytest.mark.parametrize("text", ["", "=b", "1A=b", "A B=c"])
def test_what_is_no_variable_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        EnvironmentVariable().convert(text, None, None)
