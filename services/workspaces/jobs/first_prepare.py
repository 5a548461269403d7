"""A prepare of what the guest does not have yet."""

from collections.abc import Iterable
from pathlib import Path

from services.workspaces.guest.outgoing import OutgoingArchive
from services.workspaces.guest.placing import Placement, PlaceSession, place
from services.workspaces.guest.send_progress import SendProgress
from services.workspaces.guest.skeleton import section_lines
from services.workspaces.jobs.prepare_request import (
    HostRepository,
    PrepareRequest,
    identity_settings,
)
from services.workspaces.placement.manifest import (
    Line,
    manifest_lines,
    with_raw_oid,
    write_manifest,
)
from services.workspaces.placement.record import (
    PlacedRepository,
    file_beside,
    save_record,
)
from shared.contract.messages.workspace import Prepared


def prepare_first(wanted: PrepareRequest, begun: PlaceSession | None = None) -> Prepared:
    """Place all repositories, in one rename. Raises as ``place`` does."""
    context, request = wanted.context, wanted.request
    assert context.vm_state is not None
    state = context.vm_state
    record = wanted.record()
    progress = SendProgress(context.progress)

    def remember(archives: list[OutgoingArchive]) -> None:
        """Before the guest can be done: should nobody hear of its end, it is known what it has."""
        record.repositories = [
            placed_of(state, request.guest_path, repository, archive)
            for repository, archive in zip(wanted.repositories, archives, strict=True)
        ]
        save_record(state, record)

    placements = [placement_of(each) for each in wanted.repositories]
    placements[-1].identity = section_lines(identity_settings(wanted.user)).encode()
    done = place(request.target.access, request.guest_path, placements, progress, remember, begun)
    for placed, result in zip(record.repositories, done, strict=True):
        placed.prepared = result.prepared
    save_record(state, record)
    files = sum(
        len(each.selection.checkout) + len(each.selection.overlay) for each in wanted.repositories
    )
    return Prepared(
        workspace=wanted.workspace(record),
        files=files,
        bytes=progress.bytes,
        notices=wanted.notices,
    )


def placement_of(repository: HostRepository) -> Placement:
    found = repository.history
    return Placement(
        repository.selection,
        repository.guest_git(),
        None if found is None else lambda: repository.pack([], []),
        repository.below,
        [path for path, _ in repository.links],
        repository.selection.uninitialised,
    )


def stamps_of(archive: OutgoingArchive) -> dict[bytes, bytes]:
    """Of the files that were sent, by path."""
    return {file.entry.path: with_raw_oid(file.stamp, file.raw_oid) for file in archive.files}


def placed_of(
    state: Path,
    guest_path: str,
    repository: HostRepository,
    archive: OutgoingArchive | None = None,
    lines: Iterable[Line] = (),
) -> PlacedRepository:
    """The record of one repository and its manifest: of all files, which are sent in ``archive`` or
    checked out, or ``lines``."""
    manifest = file_beside(state, guest_path, "manifest")
    if archive is not None:
        lines = manifest_lines(repository.selection, stamps_of(archive), ())
    write_manifest(manifest, lines)
    return PlacedRepository(
        below=repository.below.hex(),
        head=repository.selection.head,
        ref=repository.ref,
        shallow=list(repository.history.shallow) if repository.history else [],
        manifest=manifest.name,
    )
