"""The first prepare: a repository goes into a staging directory of the guest, then into place."""

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from services.workspaces.guest.failures import failure, refusal
from services.workspaces.guest.outgoing import OutgoingArchive, Write
from services.workspaces.guest.scripts import PLACE, busybox_argv
from services.workspaces.guest.send_progress import SendProgress
from services.workspaces.guest.session import GuestSession
from services.workspaces.guest.skeleton import (
    OURS,
    GuestGit,
    git_directory,
    ours_at_end,
    path_list,
)
from services.workspaces.guest.tar_stream import ArchiveMember, content
from services.workspaces.repository.selection import Selection
from services.workspaces.repository.work_tree import WorkTree
from shared.contract.ssh_access import Access
from shared.errors import BangerError, Code
from shared.workers.job import uninterrupted

BIG = 64 << 20
"""From so many bytes on, the guest is asked for its free space first."""
PIECE = 1 << 16
MOST_STAGES = 100
"""Lines that a script may say one after another before a word."""

OpenPack = Callable[[], "subprocess.Popen[bytes]"]


@dataclass
class Placement:
    """One repository that is to be placed."""

    selection: Selection
    git: GuestGit
    open_pack: OpenPack | None
    """None for a repository without commits."""
    below: bytes = b""
    """The submodule's path in the workspace; empty for the workspace."""
    links: list[bytes] = field(default_factory=list)
    """Paths of the submodules that are placed in it, and of directories for those that are not."""
    empty_directories: list[bytes] = field(default_factory=list)
    identity: bytes = b""
    """For the guest's ~/.gitconfig, if there is none."""

    @property
    def mode(self) -> str:
        """As place.sh has it."""
        if self.open_pack is None:
            return "empty"
        selection = self.selection
        mixed = selection.overlay or selection.absent or selection.sparse or self.links
        return "mixed" if mixed else "clean"


@dataclass
class PlacedFiles:
    """What came of one: ``prepared`` is the guest's commit of it."""

    prepared: str
    archive: OutgoingArchive


class PlaceSession:
    """The script that places one repository. A context manager.

    It is begun early, because the guest's sshd and shell take as long as the host's git takes to
    read the repository. Nothing is changed in the guest before ``wait`` and a line to the script.
    """

    def __init__(
        self, access: Access, guest_path: str, token: str, *, first: bool, below: bytes = b""
    ) -> None:
        self.guest_path = guest_path
        self.token = token
        self.below = below
        words = [guest_path, token, "first" if first else "", os.fsdecode(below)]
        self.session = GuestSession(access, busybox_argv(PLACE, words))

    def __enter__(self) -> "PlaceSession":
        return self

    def __exit__(self, *_: object) -> None:
        self.session.__exit__(None, None, None)

    def wait(self) -> None:
        """Until the script reads. Raises what it refuses."""
        word, _, detail = self.session.line().decode(errors="replace").partition(" ")
        if word == "refused":
            raise refusal(detail, self.guest_path)
        if word != "ready":
            raise failure(self.session)


def begin_placing(access: Access, guest_path: str) -> PlaceSession:
    """The session that places a workspace without submodules."""
    return PlaceSession(access, guest_path, os.urandom(6).hex(), first=True)


def place(
    access: Access,
    guest_path: str,
    placements: list[Placement],
    progress: SendProgress,
    on_files_sent: Callable[[list[OutgoingArchive]], None],
    begun: PlaceSession | None = None,
) -> list[PlacedFiles]:
    """Place ``placements``, submodules first, the workspace last.

    ``on_files_sent`` is called when all files of the work trees are sent, and the guest cannot be
    done yet: what the host has to remember, it remembers before the workspace is there. ``begun``:
    what ``begin_placing`` has begun, of which this is the end.

    Raises ``conflict`` when ``guest_path`` is taken, ``missing_tool`` without git, ``no_space``,
    ``lost``, ``guest_failed``.
    """
    with ExitStack() as stack:
        if begun:
            stack.push(begun)
        if begun is None or placements[0].below:
            begun = None
        token = begun.token if begun else os.urandom(6).hex()
        done: list[PlacedFiles] = []
        for number, placement in enumerate(placements):
            session = begun or stack.enter_context(
                PlaceSession(access, guest_path, token, first=number == 0, below=placement.below)
            )
            remember = None
            if placement is placements[-1]:

                def remember(archive: OutgoingArchive) -> None:
                    on_files_sent([*(each.archive for each in done), archive])

            done.append(_place_one(session, placement, progress, remember))
        return done


def _place_one(
    place_session: PlaceSession,
    placement: Placement,
    progress: SendProgress,
    remember: Callable[[OutgoingArchive], None] | None,
) -> PlacedFiles:
    """``remember`` is None for a repository that is not the last one."""
    session = place_session.session
    place_session.wait()
    with WorkTree(placement.selection.repository.top) as tree:
        archive = _archive_of(placement, tree)
        with broken_pipe_explained(session):
            write = _send_files(session, placement, archive, progress, is_last=remember is not None)
            if remember:
                remember(archive)
            archive.write_members(list(_members(placement, archive)), write)
            if placement.open_pack is not None:
                progress.stage("history")
                send_pack(placement.open_pack(), write)
            if remember is None:
                session.stdin.close()
                prepared = placed_commit(session, progress)[0]
            else:
                prepared = _let_rename(session, progress)
    return PlacedFiles(prepared or placement.git.head, archive)


def _let_rename(session: GuestSession, progress: SendProgress) -> str:
    """Give the word for the rename; from then on a cancel waits for the answer.

    Without that word the guest removes what it has staged, so that a prepare that was cancelled
    is never finished behind the back of the next one.
    """
    if _after_stages(session, progress) != ["staged"]:
        raise failure(session)
    with uninterrupted():
        session.stdin.write(b"go\n")
        session.stdin.close()
        return placed_commit(session, progress)[0]


def _archive_of(placement: Placement, tree: WorkTree) -> OutgoingArchive:
    selection = placement.selection
    return OutgoingArchive(
        tree,
        selection.overlay,
        hashed=[entry.path for entry in selection.unconverted],
        object_format=placement.git.object_format,
    )


def _send_files(
    session: GuestSession,
    placement: Placement,
    archive: OutgoingArchive,
    progress: SendProgress,
    *,
    is_last: bool,
) -> Write:
    """Returns what the rest is to be written with."""
    if archive.files:
        progress.stage("overlay")
    # The names of raw objects are known once the files are sent, their number of digits before.
    length = archive.length(list(_members(placement, archive)))
    need = archive.bytes >> 10 if archive.bytes >= BIG else 0
    session.stdin.write(b"%s %d %d %d\n" % (placement.mode.encode(), is_last, need, length))
    write = counted(session, progress)
    archive.write_files(write)
    return write


@contextmanager
def broken_pipe_explained(session: GuestSession) -> Iterator[None]:
    """A script that reads no more has failed, and says why."""
    try:
        yield
    except BrokenPipeError:
        raise failure(session) from None


def placed_commit(session: GuestSession, progress: SendProgress) -> list[str]:
    """The words of the script's last line after "placed"; "-" becomes "". Raises ``failure``."""
    word, *words = _after_stages(session, progress) or [""]
    if word == "placed" and words and _is_oid(words[0]) and session.finish() == 0:
        return ["" if each == "-" else each for each in words]
    raise failure(session)


def _after_stages(session: GuestSession, progress: SendProgress) -> list[str]:
    """The words of the next line that names no stage; none when the script says no more."""
    for _ in range(MOST_STAGES):
        word, *words = session.line().decode(errors="replace").split() or [""]
        if word != "stage":
            return [word, *words]
        progress.stage(" ".join(words))
    return []


def _is_oid(word: str) -> bool:
    return word == "-" or (len(word) in (40, 64) and set(word) <= set("0123456789abcdef"))


def counted(session: GuestSession, progress: SendProgress) -> Write:
    """Writes to the session, and says how much."""

    def write(piece: bytes) -> None:
        session.stdin.write(piece)
        progress.sent(len(piece))

    return write


def send_pack(process: "subprocess.Popen[bytes]", write: Write) -> None:
    """Send what ``git pack-objects`` says. Raises ``invalid`` when it lacks objects."""
    assert process.stdout is not None
    try:
        while piece := process.stdout.read(PIECE):
            write(piece)
        said = process.stderr.read(4000) if process.stderr else b""
        if process.wait() != 0:
            text = " ".join(said.decode(errors="replace").split())
            raise BangerError(Code.INVALID, f"the history cannot be read: {text}")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        if process.stderr:
            process.stderr.close()


def unconverted_list(
    selection: Selection, archive: OutgoingArchive, known: Mapping[bytes, str]
) -> bytes:
    """``.git/banger/unconverted``: ``oid mode raw-oid NUL path NUL`` for each. ``known``: the raw
    object names of files that are not in the archive."""
    width = 64 if selection.repository.object_format == "sha256" else 40
    raw = {**known, **{each.entry.path: each.raw_oid for each in archive.files if each.raw_oid}}
    return b"".join(
        b"%s %o %s\0%s\0"
        % (entry.oid.encode(), entry.mode, raw.get(entry.path, "0" * width).encode(), entry.path)
        for entry in selection.unconverted
    )


def _members(placement: Placement, archive: OutgoingArchive) -> Iterator[ArchiveMember]:
    selection = placement.selection
    yield from git_directory(placement.git)
    yield ArchiveMember(OURS)
    for path in placement.empty_directories:
        yield ArchiveMember(path + b"/")
    if placement.mode != "clean":
        raw = {entry.path for entry in selection.unconverted}
        track = [entry.path for entry in selection.overlay if entry.path not in raw]
        yield content(OURS + b"track", path_list([*track, *selection.absent, *placement.links]))
        checkout = [entry.path for entry in selection.checkout]
        yield content(OURS + b"checkout", path_list(checkout))
        if selection.sparse:
            yield content(OURS + b"sparse", path_list(selection.sparse))
    if selection.unconverted:
        yield content(OURS + b"unconverted", unconverted_list(selection, archive, {}))
    if placement.identity:
        yield content(OURS + b"identity", placement.identity)
    yield ours_at_end(placement.git)
