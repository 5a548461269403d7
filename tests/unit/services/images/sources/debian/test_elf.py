"""The libraries that a program asks for, as the host's own loader sees them."""

import sys
from pathlib import Path

import pytest

from services.images.sources.debian.elf import needed

PROGRAM = Path(sys.executable).resolve()


def test_a_program_of_this_host_needs_its_c_library() -> None:
    assert "libc.so.6" in needed(PROGRAM.read_bytes())


@pytest.mark.parametrize("size", [0, 5, 40, 200, 4096])
def test_a_file_that_is_cut_short_or_none_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="ELF"):
        needed(PROGRAM.read_bytes()[:size])
    with pytest.raises(ValueError, match="not an ELF file"):
        needed(b"#!/bin/sh\n" * (size + 1))
