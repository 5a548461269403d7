"""A prepare of what the guest has already, and a sync, which is the same."""

from pathlib import Path

from msgspec import structs

from services.workspaces.guest.placing import OpenPack, place, unconverted_list
from services.workspaces.guest.send_progress import SendProgress
from services.workspaces.guest.skeleton import path_list
from services.workspaces.guest.updating import (
    GuestRepository,
    GuestState,
    Update,
    Updated,
    conflict_error,
)
from services.workspaces.jobs.first_prepare import placed_of, placement_of, stamps_of
from services.workspaces.jobs.prepare_request import HostRepository, PrepareRequest
from services.workspaces.placement.changes import HostChanges, differing, host_changes
from services.workspaces.placement.manifest import Manifest, manifest_lines, read_manifest
from services.workspaces.placement.record import (
    PlacedRepository,
    PlacedWorkspace,
    file_beside,
    save_record,
)
from services.workspaces.repository.work_tree import WorkTree
from shared.contract.messages.workspace import Prepared
from shared.host.files import write_atomically
from shared.plain_text import printable
from shared.vm import files


def prepare_again(
    wanted: PrepareRequest, record: PlacedWorkspace, begun: GuestRepository
) -> Prepared | None:
    """Bring a workspace up to date. None when it is not in the guest any more.

    ``begun``: the session with the workspace's own repository. Raises ``conflict`` for files that
    the guest has changed too, and what ``GuestRepository`` raises.
    """
    if begun.state is None:
        return None
    later = LaterPrepare(wanted, record)
    access = wanted.request.target.access
    for repository in wanted.repositories[:-1]:
        if not later.knows(repository):
            later.place(repository)
            continue
        with GuestRepository(access, wanted.path_of(repository)) as guest:
            is_there = later.bring_up_to_date(repository, guest)
        if not is_there:
            later.place(repository)
    later.bring_up_to_date(wanted.repositories[-1], begun)
    return later.done()


class LaterPrepare:
    """The update of one workspace, repository by repository, submodules first."""

    def __init__(self, wanted: PrepareRequest, record: PlacedWorkspace) -> None:
        assert wanted.context.vm_state is not None
        self._wanted = wanted
        self._state_directory: Path = wanted.context.vm_state
        self._progress = SendProgress(wanted.context.progress)
        self._placed = {bytes.fromhex(each.below): each for each in record.repositories}
        self._record = wanted.record()
        self._record.repositories = list(record.repositories)
        self._sent = self._removed = 0

    def done(self) -> Prepared:
        """What came of it."""
        return Prepared(
            workspace=self._wanted.workspace(self._record),
            files=self._sent,
            removed=self._removed,
            bytes=self._progress.bytes,
            notices=self._wanted.notices,
        )

    def knows(self, repository: HostRepository) -> bool:
        """Whether it was placed the last time."""
        return repository.below in self._placed

    def bring_up_to_date(self, repository: HostRepository, guest: GuestRepository) -> bool:
        """False when the repository is not in the guest."""
        placed = self._placed[repository.below]
        if guest.state is None:
            return False
        with WorkTree(repository.selection.repository.top) as tree:
            self._update(repository, placed, guest, guest.state, tree)
        return True

    def place(self, repository: HostRepository) -> None:
        """A submodule that the workspace in the guest does not have yet."""
        path, access = self._wanted.path_of(repository), self._wanted.request.target.access
        placement = placement_of(repository)
        placement.below = b""
        result = place(access, path, [placement], self._progress, lambda _: None)[0]
        placed = placed_of(
            self._state_directory, self._wanted.request.guest_path, repository, result.archive
        )
        placed.prepared = result.prepared
        self._sent += len(repository.selection.checkout) + len(result.archive.files)
        self._save(repository, placed)

    def _update(
        self,
        repository: HostRepository,
        placed: PlacedRepository,
        guest: GuestRepository,
        state: GuestState,
        tree: WorkTree,
    ) -> None:
        """Send what is new, or nothing."""
        manifest = Manifest(self._beside(placed.manifest))
        changes = host_changes(
            manifest, repository.selection, tree, self._again(repository, placed, state)
        )
        # A branch that was made in the guest stays.
        ref = repository.ref if state.ref == placed.ref else state.ref
        moved = repository.selection.head != state.base
        if not changes and not moved and not state.incoming and ref == state.ref:
            self._save(repository, structs.replace(placed, prepared=state.prepared, pending=""))
            return
        changed_too = guest.changed_too(changes, manifest.raw)
        algorithm = repository.selection.repository.object_format
        conflicts = [*differing(changes, changed_too, tree, algorithm)]
        if conflicts and not self._wanted.request.force:
            raise conflict_error(conflicts, self._wanted.path_of(repository))
        self._remember_pending(repository, placed, changes)
        shallow = [*placed.shallow, *(repository.history.shallow if repository.history else ())]
        update = Update(
            repository.selection, changes, ref,
            self._pack(repository, state, placed.shallow) if moved else None,
            sorted(set(shallow)),
            lambda archive: unconverted_list(repository.selection, archive, manifest.raw),
            repository.links, self._links_gone(repository),
        )  # fmt: skip
        result = guest.update(update, tree, self._progress, conflicts)
        self._sent += len(changes.sent) + len(changes.checked_out)
        self._removed += len(changes.removed)
        self._remember(repository, placed, update, result)
        if moved and not result.followed:
            self._wanted.notices.append(_kept(self._wanted.path_of(repository)))

    def _remember(
        self, repository: HostRepository, placed: PlacedRepository, update: Update, result: Updated
    ) -> None:
        """Once the guest is done."""
        before = read_manifest(self._beside(placed.manifest))
        lines = manifest_lines(repository.selection, stamps_of(result.archive), before)
        guest_path = self._wanted.request.guest_path
        new = placed_of(self._state_directory, guest_path, repository, lines=lines)
        new.prepared, new.shallow = result.prepared, sorted(update.shallow)
        new.ref = update.ref if result.followed else placed.ref
        self._save(repository, new)

    def _again(
        self, repository: HostRepository, placed: PlacedRepository, state: GuestState
    ) -> frozenset[bytes]:
        """The files that count as changed whatever the manifest says of them."""
        if placed.pending:
            return frozenset(self._beside(placed.pending).read_bytes().split(b"\0")[:-1])
        if state.incoming or (placed.prepared and placed.prepared != state.prepared):
            # The guest has been set back, or was brought up to date from elsewhere.
            chosen = repository.selection
            known = (path for path, _ in read_manifest(self._beside(placed.manifest)))
            return frozenset([*known, *(each.path for each in (*chosen.checkout, *chosen.overlay))])
        return frozenset()

    def _remember_pending(
        self, repository: HostRepository, placed: PlacedRepository, changes: HostChanges
    ) -> None:
        """Before the guest changes any of them: should nobody hear of its end, they count as
        changed the next time."""
        pending = file_beside(self._state_directory, self._record.guest_path, "pending")
        write_atomically(pending, path_list(changes.paths()))
        self._save(repository, structs.replace(placed, pending=pending.name))

    def _pack(
        self, repository: HostRepository, state: GuestState, shallow: list[str]
    ) -> OpenPack | None:
        """The history that the guest does not have."""
        if repository.history is None:
            return None
        has = repository.git.attempt("cat-file", "-e", f"{state.base}^{{commit}}")
        known = [state.base] if state.base and has.status == 0 else []
        return lambda: repository.pack(known, shallow)

    def _links_gone(self, repository: HostRepository) -> list[bytes]:
        """Submodules that were placed in it, and are not in the host's repository any more."""
        prefix = repository.below + b"/" if repository.below else b""
        there = {prefix + path for path, _ in repository.links}
        known = {each.below for each in self._wanted.repositories}
        return [
            below.removeprefix(prefix)
            for below in self._placed
            if below and below.startswith(prefix) and below not in there and below not in known
        ]

    def _save(self, repository: HostRepository, placed: PlacedRepository) -> None:
        """Put what is known of one repository into the record."""
        kept = {bytes.fromhex(each.below): each for each in self._record.repositories}
        kept[repository.below] = placed
        order = [each.below for each in self._wanted.repositories]
        self._record.repositories = [kept[below] for below in order if below in kept]
        save_record(self._state_directory, self._record)

    def _beside(self, name: str) -> Path:
        return self._state_directory / files.WORKSPACES / name


def _kept(path: str) -> str:
    return (
        f"the guest has commits of its own in {printable(path)}: its branch stays, the files are "
        "the host's, and the host's commit is at refs/banger/host"
    )
