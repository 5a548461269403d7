"""What is too long for a screen goes through the user's pager; elsewhere it is just printed."""

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterable

import click

DEFAULT = "less -FRX"
"""Ends at once when all fits, shows colours, and leaves the text on the screen."""
NOT_FOUND = 127

Lines = Callable[[], Iterable[str]]


def page(lines: Lines) -> None:
    """Show lines on the terminal that is standard output."""
    command = pager()
    if not command or not _paged(command, lines):
        for line in lines():
            click.echo(line)


def pager() -> str:
    """The command, as a shell reads it: BANGER_PAGER, PAGER, or less where it is there."""
    wanted = os.environ.get("BANGER_PAGER") or os.environ.get("PAGER")
    return wanted or (DEFAULT if shutil.which("less") else "")


def _paged(command: str, lines: Lines) -> bool:
    """Whether there was such a pager. Its Ctrl-C is no business of ours."""
    import subprocess

    sys.stdout.flush()
    # Not SIG_IGN, which the pager would inherit.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        process = subprocess.Popen(["sh", "-c", command], stdin=subprocess.PIPE)
        assert process.stdin
        try:
            with process.stdin as sink:
                for line in lines():
                    sink.write(f"{line}\n".encode())
        except BrokenPipeError:
            pass  # the reader has seen enough
        return process.wait() != NOT_FOUND
    finally:
        signal.signal(signal.SIGINT, before)
