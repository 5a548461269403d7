"""A halted guest is known by the last line of its console, and by nothing else."""

import asyncio
from pathlib import Path

import pytest

from services.vm_supervisor.drivers.halted import is_halted, wait_until_halted
from shared.vm import files

LINE = "[   17.245303] reboot: System halted"


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_kernels_last_line_is_its_word(end: str) -> None:
    assert is_halted(f"systemd-shutdown[1]: Halting system.\r\n{LINE}{end}")


@pytest.mark.parametrize(
    "console", ["", "reboot: System halted\n", f"{LINE}\nlogin: ", LINE.replace("halt", "boot")]
)
def test_anything_else_is_not(console: str) -> None:
    assert not is_halted(console)


def test_the_line_of_an_earlier_boot_does_not_count(tmp_path: Path) -> None:
    console = tmp_path / files.CONSOLE_LOG
    console.write_text(f"{LINE}\n")

    async def act() -> None:
        waiting = asyncio.ensure_future(
            wait_until_halted(console, console.stat().st_size, seconds=0.01)
        )
        assert await asyncio.wait({waiting}, timeout=0.05) == (set(), {waiting})
        with console.open("a") as file:
            file.write(f"booting\n{LINE}\n")
        await asyncio.wait_for(waiting, 10)

    asyncio.run(act())


def test_a_console_may_not_be_there_yet(tmp_path: Path) -> None:
    async def act() -> None:
        waiting = asyncio.ensure_future(wait_until_halted(tmp_path / "log", 0, seconds=0.01))
        assert await asyncio.wait({waiting}, timeout=0.05) == (set(), {waiting})
        (tmp_path / "log").write_text(LINE)
        await asyncio.wait_for(waiting, 10)

    asyncio.run(act())
