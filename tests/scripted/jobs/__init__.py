"""Jobs of transfers that do what a file says, line by line, in place of reading a repository.

The file is ``script`` in the directory that the request names as the repository:

    say WORDS        report progress
    wait FIFO        until somebody has written to it
    hold FIFO        the same, and a cancel waits for it; says "held"
    child FILE       start a process that stays, and write its pid to FILE
    write FILE       the directory of this job goes into it, its pid and the VM's state directory
    fail CODE        end with this error
    bug              end by an exception that nobody has foreseen
    exit             end without an outcome
    undo FILE        from here on: whatever ends the job, FILE is written at its end
"""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

from shared.errors import BangerError, Code
from shared.workers.job import JobContext, uninterrupted


def play(repository: str, context: JobContext) -> None:
    script = Path(repository) / "script"
    lines = script.read_text().splitlines() if script.exists() else []
    (context.directory / "some").write_text("of its own")
    with contextlib.ExitStack() as at_the_end:
        for line in lines:
            word, _, rest = line.partition(" ")
            _play_one(word, rest, context, at_the_end)


def _play_one(word: str, rest: str, context: JobContext, at_the_end: contextlib.ExitStack) -> None:
    match word:
        case "say":
            context.progress("script", rest)
        case "wait":
            Path(rest).read_text()
        case "hold":
            with uninterrupted():
                context.progress("script", "held")
                Path(rest).read_text()
        case "child":
            child = subprocess.Popen(["sleep", "600"])
            Path(rest).write_text(str(child.pid))
        case "write":
            Path(rest).write_text(f"{context.directory}\n{os.getpid()}\n{context.vm_state}\n")
        case "fail":
            raise BangerError(Code(rest), f"the script says {rest}", hint="write another")
        case "bug":
            raise LookupError("a bug in a job")
        case "exit":
            print("no outcome", file=sys.stderr, flush=True)
            os._exit(3)
        case "undo":
            at_the_end.callback(Path(rest).write_text, "undone")
        case _:
            raise ValueError(word)
