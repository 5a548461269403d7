"""The program of the third VMM: the scripted guest behind another command line, NAME=VALUE."""

import sys
from pathlib import Path

from shared.vm import files
from tests.scripted.command_line import CommandLine
from tests.scripted.qemu import run


class PaperLine(CommandLine):
    """``vm`` is for the process table alone; ``address`` and ``ssh``: where sshd is reached."""

    def __init__(self, argv: list[str]) -> None:
        words = dict(word.split("=", 1) for word in argv)
        place, state = Path(words["run"]), Path(words["state"])
        self.qmp = place / "unused.sock"
        self.agent = place / files.AGENT_SOCKET
        self.console = place / files.CONSOLE_SOCKET
        self.console_log = state / files.CONSOLE_LOG
        self.networks = {}
        self.hostfwd = [f"tcp:{words['address']}:{words['ssh']}-:22"]
        self.initrd = Path(words["initrd"])
        self.boot = [self.initrd]
        self.incoming, self.memory = False, {}
        self.drives = [state / files.OVERLAY, state / files.WORK_DISK]


if __name__ == "__main__":
    sys.exit(run(PaperLine))
