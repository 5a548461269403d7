"""The supervisor's part of ssh: keys, the pin, and the connection that sessions share::

    user_key = ensure_key(paths.ssh_key)                # the user's, once
    host_key = ensure_key(state / files.HOST_KEY)       # the guest's, before its first boot
    write_known_hosts(access, host_key.public)
    await start_master(access, log, deadline)           # returns when sessions can use it
    ...
    await stop_master(access)

The master is in its own session and outlives the supervisor; ``master_pid`` finds it again.
Call ``start_master`` once the agent has answered: guest/rootfs/start starts sshd first, so it
listens by then and the first attempt succeeds.
"""

import asyncio
import contextlib
import errno
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from services.vm_supervisor.guest.agent_answers import WORDS_MAX
from shared.contract.ssh_access import Access, control_argv, master_argv
from shared.errors import BangerError, Code
from shared.host.files import read_tail, sync, write_atomically
from shared.host.process import ProcessId, Watch, send_signal, spawn_detached, start_time
from shared.plain_text import printable
from shared.vmm.search import command_line

CONTROL_SECONDS = 5.0
"""What a master may take to answer. It serves sessions by itself, and may be stopped or stuck."""
_RETRY_SECONDS = 0.05
_LOG_BYTES = 16384
"""Of the end of ssh's log. A guest's banner may come before what ssh says itself."""
_HOPELESS = ("Permission denied", "Host key verification failed", "REMOTE HOST IDENTIFICATION")


@dataclass(frozen=True)
class KeyPair:
    """An ed25519 key: OpenSSH private key text, and the one-line public key."""

    private: str
    public: str


def ensure_key(path: Path, comment: str = "banger") -> KeyPair:
    """Read the key at ``path`` (``.pub`` beside it), or make it, mode 0600.

    The key has its directory to itself: both files appear together by the directory's rename, so
    that two supervisors making banger's own key at once end with the same pair.

    Raises:
        BangerError: ``missing_tool`` without ssh-keygen.
    """
    if not path.exists():
        directory = path.parent
        directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
        try:
            _generate(temporary / path.name, comment)
            for file in (*temporary.iterdir(), temporary):
                sync(file)
            temporary.rename(directory)  # an empty directory may be there; a full one has won
            sync(directory.parent)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)  # ssh refuses a key that others may read, as after a copy
    public = path.with_name(f"{path.name}.pub")
    return KeyPair(path.read_text(), public.read_text().strip())


def _generate(path: Path, comment: str) -> None:
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)]
    try:
        subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    except FileNotFoundError as error:
        raise BangerError(
            Code.MISSING_TOOL, "ssh-keygen is not installed", hint="apt install openssh-client"
        ) from error
    except subprocess.CalledProcessError as error:
        words = error.stderr.decode(errors="replace").strip()
        raise BangerError(Code.INTERNAL, f"ssh-keygen cannot make {path}: {words}") from error


def known_hosts_line(alias: str, public: str) -> str:
    """One line of sshd(8)'s SSH_KNOWN_HOSTS format; the key's comment is left out."""
    kind, key = public.split()[:2]
    return f"{alias} {kind} {key}\n"


def write_known_hosts(access: Access, public: str) -> None:
    """Pin ``public`` as the only host key of ``access.alias``."""
    write_atomically(Path(access.known_hosts), known_hosts_line(access.alias, public).encode())


async def start_master(
    access: Access, log: Path, deadline: float, *, adopted: bool = False
) -> None:
    """Open the shared connection, trying again until the guest's sshd answers.

    ``ssh -f`` goes to the background when the control socket serves, so its exit is the event to
    wait for. Does nothing when a master runs already. ``adopted``: another supervisor may have been
    killed while it did this.

    Raises:
        BangerError: ``timeout`` when sshd did not answer before ``deadline`` (time.monotonic()),
            ``denied`` when it refused the key or showed a host key that is not pinned.
    """
    if await master_pid(access) is not None:
        return
    if adopted:
        await asyncio.to_thread(_end_connecting, master_argv(access, str(log)))
    Path(access.control).unlink(missing_ok=True)
    while time.monotonic() < deadline:
        log.unlink(missing_ok=True)
        if await _attempt(master_argv(access, str(log)), log, deadline):
            return
        words = read_tail(log, _LOG_BYTES)
        if any(sign in words for sign in _HOPELESS):
            raise BangerError(
                Code.DENIED,
                f"the guest refuses ssh: {printable(words.strip().splitlines()[-1], WORDS_MAX)}",
                hint=f"see {log}",
            )
        await asyncio.sleep(_RETRY_SECONDS)
    raise BangerError(
        Code.TIMEOUT, f"no ssh on {access.host} port {access.port}", hint=f"see {log}"
    )


def _end_connecting(argv: list[str]) -> None:
    """End masters that have been started and do not serve yet: beside another one, they would stay
    for ever, as connections that nobody uses."""
    for pid in (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()):
        with contextlib.suppress(OSError):  # it ended this moment
            if command_line(pid) == argv and (born := start_time(pid)) is not None:
                send_signal(ProcessId(pid, born), signal.SIGKILL)


async def _attempt(argv: list[str], log: Path, deadline: float) -> bool:
    watch = Watch(spawn_detached(argv, log))
    try:
        async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
            return await watch.ended() == 0
    except TimeoutError:
        watch.kill(signal.SIGKILL)
        return False
    except asyncio.CancelledError:
        # The VM may be on its way to be deleted: nobody must write to its log any more.
        watch.kill(signal.SIGKILL)
        raise
    finally:
        watch.close()


async def master_pid(access: Access) -> int | None:
    """The pid of a master that answers, or None."""
    if not Path(access.control).exists():
        return None
    words = await _control(access, "check")
    head, found, tail = words.partition("(pid=")
    return int(tail.partition(")")[0]) if found and head.startswith("Master") else None


async def stop_master(access: Access) -> None:
    """End the shared connection and its sessions, if there is one; returns when its process ended.

    A master that does not answer is left: it ends with its guest's side of the connection.
    """
    pid = await master_pid(access)
    since = start_time(pid) if pid else None
    if pid and since is not None:
        await _end(access, ProcessId(pid, since))
    Path(access.control).unlink(missing_ok=True)


async def _end(access: Access, master: ProcessId) -> None:
    """A master answers first and ends then."""
    try:
        watch = Watch(master)
    except BangerError:
        return  # it has ended meanwhile
    try:
        await _control(access, "exit")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CONTROL_SECONDS):
                await watch.ended()
    finally:
        watch.close()


async def _control(access: Access, command: str) -> str:
    """The master's answer; "" when it hangs, or ssh cannot be run."""
    try:
        process = await asyncio.create_subprocess_exec(
            *control_argv(access, command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError:
        return ""
    try:
        async with asyncio.timeout(CONTROL_SECONDS):
            _, words = await process.communicate()
    except TimeoutError:
        return ""
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    return words.decode(errors="replace")
