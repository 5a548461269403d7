"""One run of the command: what was typed, and what came of it."""

import json
import os
import shlex
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.smoke.expect import Failed, scaled
from tests.home import Home

LONGEST_SHOWN = 4000
"""Characters of an output that are shown; all of it is nowhere when it is longer."""


@dataclass(frozen=True)
class Call:
    """``status`` is None when it was ended for taking too long, and while it runs."""

    argv: tuple[str, ...]
    status: int | None
    stdout: bytes
    stderr: bytes
    seconds: float

    @property
    def out(self) -> str:
        return self.stdout.decode(errors="replace")

    @property
    def err(self) -> str:
        return self.stderr.decode(errors="replace")

    @property
    def json(self) -> Any:
        """stdout, decoded. Raises Failed when it is not JSON."""
        try:
            return json.loads(self.stdout)
        except ValueError as error:
            raise Failed(f"stdout is no JSON ({error})") from error

    def shown(self) -> str:
        """As in a terminal: the exact command, what it printed, and how it ended."""
        ended = "in the background" if self.status is None else f"exit status {self.status}"
        parts = [f"$ {shlex.join(self.argv)}", f"# {ended}, {self.seconds:.2f} s"]
        for stream, text in (("stdout", self.out), ("stderr", self.err)):
            if text:
                parts.append(f"# {stream}:\n{_shortened(text)}")
        return "\n".join(parts)


def _shortened(text: str) -> str:
    if len(text) <= LONGEST_SHOWN:
        return text.rstrip("\n")
    return f"{text[:LONGEST_SHOWN]}\n# … and {len(text) - LONGEST_SHOWN} characters more"


def call(
    home: Home, where: Path, argv: list[str], stdin: bytes, seconds: float, env: dict[str, str]
) -> Call:
    """Run a command in the directory ``where`` to its end, at most ``seconds`` (scaled); nothing
    is raised."""
    began = time.monotonic()
    with subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**home.environment, **env},
        cwd=where,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(stdin, scaled(seconds))
            status: int | None = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # its children have its pipes
            out, err = process.communicate()
            status = None
            err += f"\n(killed: took longer than {scaled(seconds):.0f} s)".encode()
    return Call(tuple(argv), status, out, err, time.monotonic() - began)


def start(home: Home, where: Path, arguments: tuple[str, ...]) -> "subprocess.Popen[bytes]":
    """Run the command in the background, in a session of its own: our terminal's Ctrl-C is not
    its."""
    return subprocess.Popen(
        home.argv(*arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(os.environ, **home.environment),
        cwd=where,
        start_new_session=True,
    )
