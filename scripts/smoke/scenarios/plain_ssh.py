"""The programs of OpenSSH, and what is built on them, by a VM's name alone."""

import os
import socket
import subprocess
from pathlib import Path

from scripts.smoke.case import Case
from scripts.smoke.expect import contains, equal, eventually, holds
from scripts.smoke.registry import scenario
from scripts.smoke.scenarios.session import SESSION
from shared.vm import files


def _ssh(case: Case, program: str = "ssh") -> tuple[str, ...]:
    """The program with a configuration into which ours has just been put. ssh finds a user's own
    by the password file, not by HOME, so it has to be named."""
    home = case.directory / "user"
    (home / ".ssh").mkdir(parents=True, exist_ok=True)
    case.banger("ssh-config", "--install", env={"HOME": str(home)})
    return (program, "-F", str(home / ".ssh" / "config"), "-o", "BatchMode=yes")


@scenario(SESSION)
def plain_ssh(case: Case) -> None:
    """ssh NAME.vm: streams and status as they are, the host key known, none of yours touched."""
    ssh = (*_ssh(case), f"{case.vm}.vm")
    done = case.program(*ssh, "hostname; cat; exit 7", stdin=b"typed", status=7)
    equal("stdout", done.out, f"{case.vm}\ntyped")
    equal("stderr", done.err, "")
    holds("no known_hosts", not (case.directory / "user" / ".ssh" / files.KNOWN_HOSTS).exists())


@scenario(SESSION)
def plain_scp_and_sftp(case: Case) -> None:
    """scp and sftp bring files in and out."""
    content = os.urandom(100_000)
    (case.directory / "sent").write_bytes(content)
    there = f"{case.vm}.vm:/root/by-scp"
    case.program(*_ssh(case, "scp"), "-q", "sent", there)
    batch = b"get /root/by-scp fetched\nput fetched /root/by-sftp\n"
    case.program(*_ssh(case, "sftp"), "-q", "-b", "-", f"{case.vm}.vm", stdin=batch)
    holds("the same bytes", (case.directory / "fetched").read_bytes() == content)
    equal("both there", case.inside(case.vm, "cmp /root/by-scp /root/by-sftp && echo same"), "same")


@scenario(SESSION)
def plain_rsync(case: Case) -> None:
    """rsync puts a tree there, and the second time only what has changed."""
    tree = case.directory / "synced"
    (tree / "below").mkdir(parents=True)
    (tree / "big").write_bytes(os.urandom(1000 * 1000))
    (tree / "below" / "small").write_text("one")
    remote = " ".join(_ssh(case))
    sync = ("rsync", "-a", "--delete", "--stats", "-e", remote, f"{tree}/", f"{case.vm}.vm:/srv/s")
    case.program(*sync)
    (tree / "below" / "small").write_text("two!")
    again = case.program(*sync)
    contains("second time", again.out, "Number of regular files transferred: 1\n")
    equal("there", case.inside(case.vm, "cat /srv/s/below/small"), "two!")


@scenario(SESSION)
def plain_ssh_forwards_a_port(case: Case) -> None:
    """What an editor's remote mode does: a connection without a command, a port through it."""
    port = case.ground.run(_free_port)
    forward = ("-N", "-o", "ExitOnForwardFailure=yes", "-L", f"127.0.0.1:{port}:127.0.0.1:22")
    argv = [*case.stack.home.prefix, *_ssh(case), *forward, f"{case.vm}.vm"]
    environment = case.stack.home.environment
    with subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL) as tunnel:
        try:
            eventually(
                "the guest's sshd says hello",
                lambda: b"SSH-2.0" in case.ground.run(lambda: _hello(port)),
                30,
            )
        finally:
            tunnel.terminate()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _hello(port: int) -> bytes:
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            connection.settimeout(5)
            return connection.recv(64)
    except OSError:
        return b""


@scenario(SESSION)
def agent_only_on_request(case: Case) -> None:
    """The user's ssh agent is not seen in the guest, unless ssh is told so."""
    path = Path(case.directory / "agent")
    started = case.program("ssh-agent", "-a", str(path), "-s")
    pid = started.out.partition("SSH_AGENT_PID=")[2].partition(";")[0]
    try:
        env = {"SSH_AUTH_SOCK": str(path)}
        asked = (f"{case.vm}.vm", 'echo "[$SSH_AUTH_SOCK]"')
        equal("as it is", case.program(*_ssh(case), *asked, env=env).out, "[]\n")
        equal("vm exec", case.inside(case.vm, 'echo "[$SSH_AUTH_SOCK]"'), "[]")
        given = case.program(*_ssh(case), "-A", *asked, env=env).out
        holds("with -A it is there", given.strip() not in ("", "[]"))
    finally:
        case.program("kill", pid)
