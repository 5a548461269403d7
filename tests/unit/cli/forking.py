"""``banger`` as a process of its own, without the time that a new interpreter takes.

Starting Python and importing the command takes most of what a test of the command takes. A server
that has imported it (``python -m tests.unit.cli.forking FD``) forks for each command line; the
child is told its environment, directory and streams, and is from there on as any other.
"""

import importlib
import json
import os
import pkgutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, NamedTuple

from tests.home import REPOSITORY

LONGEST_REQUEST = 1 << 16


class Ran(NamedTuple):
    status: int
    out: str
    err: str


class Server:
    """The asking side; a context manager."""

    def __init__(self) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.unit.cli.forking", str(theirs.fileno())],
            cwd=REPOSITORY,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
        theirs.close()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()
        self._process.wait(10)

    def run(self, args: list[str], env: Mapping[str, str], cwd: Path, stdin: bytes) -> Ran:
        """Run one command line to its end."""
        request = json.dumps({"args": args, "env": dict(env), "cwd": str(cwd)}).encode()
        with (
            tempfile.TemporaryFile() as given,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
        ):
            given.write(stdin)
            given.seek(0)
            socket.send_fds(self._channel, [request], [each.fileno() for each in (given, out, err)])
            status = int(self._channel.recv(16))
            return Ran(status, _text(out), _text(err))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def serve(channel: socket.socket) -> None:
    """Run one command line after the other, until nobody can ask any more."""
    _import_all()
    while True:
        request, streams, _, _ = socket.recv_fds(channel, LONGEST_REQUEST, 3)
        if not request:
            return
        child = os.fork()
        if child == 0:
            channel.close()
            _become(json.loads(request), streams)
        for stream in streams:
            os.close(stream)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        channel.send(str(status).encode())


def _import_all() -> None:
    import cli

    for module in pkgutil.walk_packages(cli.__path__, "cli."):
        importlib.import_module(module.name)


def _become(request: dict[str, object], streams: list[int]) -> None:
    """``banger`` with this request; does not return."""
    from cli.__main__ import main

    args, env = request["args"], request["env"]
    assert isinstance(args, list)
    assert isinstance(env, dict)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(str(request["cwd"]))
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["banger", *args]
    main()


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
