"""The names by which a saved machine knows its files lead to those of the VM that loads it."""

from dataclasses import replace
from pathlib import Path

from services.vm_supervisor.drivers.contract import Drives
from services.vm_supervisor.drivers.firecracker import names
from shared.vm import files


def _place(tmp_path: Path, drives: Drives) -> tuple[Path, Path]:
    run, state = tmp_path / "run", tmp_path / "state"
    run.mkdir(exist_ok=True)
    state.mkdir(exist_ok=True)
    names.make_links(run, state, drives)
    names.make_room(state)
    return run, state


def _drives(tmp_path: Path) -> Drives:
    found = []
    for name in ("rootfs", "overlay", "work", "modules", "base"):
        (tmp_path / name).write_text(name)
        found.append(tmp_path / name)
    rootfs, overlay, work, modules, base = found
    return Drives(rootfs, overlay, work, modules, bases=(base,))


def test_every_name_leads_to_the_file_of_this_vm(tmp_path: Path) -> None:
    drives = _drives(tmp_path)
    run, state = _place(tmp_path, drives)
    for each in drives.devices():
        assert (run / names.drive(each.name)).read_text() == each.path.read_text()
    (run / names.AGENT).touch()
    assert (run / files.AGENT_SOCKET).exists()
    (run / names.SAVING_MEMORY).write_text("saved")
    assert (state / files.SAVING / files.MEMORY).read_text() == "saved"


def test_the_next_launch_has_the_files_of_then(tmp_path: Path) -> None:
    drives = _drives(tmp_path)
    run, state = _place(tmp_path, drives)
    (state / files.SAVING / files.MEMORY).write_text("of a save that a crash ended")
    (tmp_path / "other").write_text("other")
    _place(tmp_path, replace(drives, rootfs=tmp_path / "other"))
    assert (run / names.drive("rootfs")).read_text() == "other"
    assert (state / files.SAVING / files.MEMORY).stat().st_size == 0


def test_what_is_loaded_is_found_and_then_forgotten(tmp_path: Path) -> None:
    (tmp_path / "memory").write_text("pages")
    names.link_saved(tmp_path, tmp_path)
    assert (tmp_path / names.SAVED_MEMORY).read_text() == "pages"
    names.link_saved(tmp_path, None)
    assert not (tmp_path / names.SAVED_MEMORY).exists()


def test_a_machine_of_an_older_version_is_known_by_its_paths() -> None:
    ours = {"drives": [{"path_on_host": "disks/work"}], "vsock": {"uds_path": "vm/agent.sock"}}
    assert names.are_relative(ours)
    assert names.are_relative({"drives": None, "vsock": None})
    assert not names.are_relative(ours | {"drives": [{"path_on_host": "/disks/work"}]})
    assert not names.are_relative(ours | {"vsock": {"uds_path": "/vm/agent.sock"}})
