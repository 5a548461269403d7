"""Saved machines of a few bytes, and what a VM is on disk."""

from pathlib import Path

from shared.vm import files
from shared.vm.publish_saved import draft, publish
from tests.unit.shared.vm.test_saved import saved_machine


def fill(directory: Path, word: str, *, disks: bool = True, memory: bool = True) -> None:
    """Give ``directory`` files that say ``word``."""
    directory.mkdir(parents=True, exist_ok=True)
    names = (files.OVERLAY, files.WORK_DISK) if disks else ()
    for name in (*names, *((files.MEMORY, files.DEVICE_STATE) if memory else ())):
        (directory / name).write_text(word)
    if disks:
        (directory / files.WORKSPACES).mkdir(exist_ok=True)
        (directory / files.WORKSPACES / "placed").write_text(word)


def save(target: Path, word: str, *, disks: bool = True, memory: bool = True) -> Path:
    """Publish a saved machine whose files say ``word``."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with draft(target.parent) as work:
        fill(work, word, disks=disks, memory=memory)
        publish(work, target, saved_machine(work, copied="sparse" if disks else ""))
    return target


def words(state: Path) -> dict[str, str]:
    """What each file of a VM says, by its path in the state directory."""
    found = (path for path in sorted(state.rglob("*")) if path.is_file())
    return {
        str(path.relative_to(state)): path.read_text() for path in found if path.suffix != ".json"
    }
