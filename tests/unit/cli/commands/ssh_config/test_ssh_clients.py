"""Programs that read an ssh configuration reach a VM by it: OpenSSH and Python's libraries.

The guest's sshd is played by a server of asyncssh, and the services by the scripted peer.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.vm.known_hosts import names_of, pin
from tests.unit.cli.conftest import Cli, view
from tests.unit.cli.peer import Peer

SERVER = """
import asyncio, asyncssh, sys
key, authorized = sys.argv[1:]
def handle(process):
    process.stdout.write(f"{process.get_extra_info('username')}: {process.command}\\n")
    process.exit(7)
async def main():
    server = await asyncssh.listen("127.0.0.1", 0, server_host_keys=[key],
                                   authorized_client_keys=authorized, process_factory=handle)
    print(server.get_port(), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
asyncio.run(main())
"""
PARAMIKO = """
import os, sys, warnings
warnings.simplefilter("ignore")
import paramiko
path, host = sys.argv[1:]
found = paramiko.SSHConfig.from_path(path).lookup(host)
client = paramiko.SSHClient()
client.load_host_keys(found["userknownhostsfile"])
client.connect(found["hostname"], username=found["user"], key_filename=found["identityfile"],
               sock=paramiko.ProxyCommand(found["proxycommand"]), look_for_keys=False,
               allow_agent=False)
_, out, _ = client.exec_command("true")
print(out.read().decode(), end="")
status = out.channel.recv_exit_status()
client.close()
sys.exit(status)
"""
ASYNCSSH = """
import asyncio, asyncssh, sys
path, host = sys.argv[1:]
async def main():
    async with asyncssh.connect(host, config=[path], known_hosts=KNOWN) as connection:
        done = await connection.run("true")
        print(done.stdout, end="")
        return done.exit_status
sys.exit(asyncio.run(main()))
"""


@pytest.fixture
def config(cli: Cli, peer: Callable[..., Peer]) -> Iterator[Path]:
    """A user's ssh configuration by which ``web.vm`` is reached."""
    own, host_key = cli.paths.ssh_key, cli.root / "host_key"
    own.parent.mkdir(parents=True)
    for key in (own, host_key):
        subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", str(key)], check=True)
    argv = [sys.executable, "-c", SERVER, str(host_key), f"{own}.pub"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout
        shown = view("web")
        shown["access"] |= {"host": "127.0.0.1", "port": int(server.stdout.readline())}
        peer({"vm.access": lambda _: shown})
        public = " ".join((cli.root / "host_key.pub").read_text().split()[:2])
        pin(cli.paths.known_hosts, names_of("0123456789ab", "web", "127.77.0.2"), public)
        assert cli("ssh-config", "--install").status == 0
        path = cli.root / ".ssh/config"
        # The command of this checkout, not an installed one.
        program = cli.root / "bin/banger"
        export = f"export PYTHONPATH={cli.env['PYTHONPATH']}"
        program.write_text(f'#!/bin/sh\n{export}\nexec {sys.executable} -m cli "$@"\n')
        program.chmod(0o755)
        text = path.read_text()
        (line,) = [line for line in text.splitlines() if "ProxyCommand" in line]
        words = line.split(" ")
        words[words.index("ssh-proxy") - 1] = str(program)
        path.write_text(text.replace(line, " ".join(words)))
        yield path
        server.terminate()


@pytest.mark.parametrize("host", ["web.vm", "0123456789ab.vm"])
@pytest.mark.parametrize("options", [[], ["-o", "ProxyUseFdpass=no"]], ids=["descriptor", "pipes"])
def test_openssh_without_an_environment(config: Path, options: list[str], host: str) -> None:
    argv = ["/usr/bin/ssh", "-F", str(config), "-o", "BatchMode=yes", *options, host, "true"]
    done = subprocess.run(
        argv, env={}, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, "root: true\n", "")


@pytest.mark.parametrize("library", ["paramiko", "asyncssh", "asyncssh by itself"])
def test_pythons_libraries(cli: Cli, config: Path, library: str) -> None:
    # asyncssh reads known_hosts by its own argument; its default is the user's file.
    known = f"{str(cli.paths.known_hosts)!r}" if library == "asyncssh" else "()"
    script = PARAMIKO if library == "paramiko" else ASYNCSSH.replace("KNOWN", known)
    done = subprocess.run(
        [sys.executable, "-c", script, str(config), "web.vm"],
        env={"HOME": str(cli.root), "PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (7, "root: true\n"), done.stderr
