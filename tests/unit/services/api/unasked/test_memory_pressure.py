"""When memory is short, by what the kernel says."""

from pathlib import Path

import pytest

from services.api.unasked.memory_pressure import is_short_of_memory

MIB = 1 << 10  # in kB


def proc(root: Path, available: int, pressure: str | None, total: int = 4096) -> Path:
    text = f"MemTotal: {total * MIB} kB\nMemAvailable:  {available * MIB} kB\nHugePages_Free: 0\n"
    (root / "meminfo").write_text(text)
    if pressure is not None:
        (root / "pressure").mkdir()
        (root / "pressure/memory").write_text(pressure)
    return root


def some(share: str) -> str:
    return (
        f"some avg10={share} avg60=0.00 avg300=0.00 total=1\n"
        "full avg10=99.00 avg60=0.00 avg300=0.00 total=1\n"
    )


@pytest.mark.parametrize(
    ("available", "pressure", "short"),
    [
        (600, some("0.00"), False),
        (500, some("0.00"), True),
        (600, some("5.01"), True),
        (600, None, False),
        (500, None, True),
        (600, "nothing of use", False),
    ],
)
def test_memory_is_short_by_what_is_left_or_by_who_waits(
    tmp_path: Path, available: int, pressure: str | None, short: bool
) -> None:
    assert is_short_of_memory(proc(tmp_path, available, pressure)) is short


def test_a_large_host_keeps_a_share(tmp_path: Path) -> None:
    assert is_short_of_memory(proc(tmp_path, 6000, None, total=65536))


def test_what_is_to_be_taken_counts(tmp_path: Path) -> None:
    host = proc(tmp_path, 1000, None)
    assert not is_short_of_memory(host, 400 << 20)
    assert is_short_of_memory(host, 500 << 20)


def test_this_host_tells() -> None:
    assert is_short_of_memory(Path("/proc"), 1 << 60)
