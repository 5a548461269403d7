"""The tools layer, put together from programs of this host."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from services.images.sources.debian.tools import PLACE, gather_tools
from shared.errors import BangerError, Code
from tests.unit.services.images.sources.debian.tools_packages import LIBRARIES, PROGRAM, TOOLS


def gathered(place: Path, packages: Mapping[str, bytes]) -> Path:
    for name, data in packages.items():
        file = place / "tree" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    gather_tools(place / "tree", place / "layer")
    return place / "layer"


def test_a_program_runs_with_the_loader_and_the_libraries_of_the_layer(
    tmp_path: Path,
) -> None:
    layer = gathered(tmp_path, TOOLS)
    assert sorted(path.name for path in (layer / "lib").iterdir()) == [
        "ld-linux-x86-64.so.2", "ld.so", "libc.so.6",
    ]  # fmt: skip
    start = (layer / "bin" / "rsync").read_text()
    assert start.startswith("#!/run/initramfs/bin/sh\n")
    # As in a guest, with a shell and a directory of this host in place of the guest's.
    script = start.replace(PLACE, str(layer))
    subprocess.run(["sh", "-c", script], check=True, env={"LD_LIBRARY_PATH": ""})


def test_programs_of_a_newer_openssh_are_there_where_the_packages_have_them(tmp_path: Path) -> None:
    newer = {f"usr/lib/openssh/{name}": PROGRAM for name in ("sshd-session", "sshd-auth")}
    layer = gathered(tmp_path, TOOLS | newer)
    names = {path.name for path in (layer / "bin").iterdir()}
    assert {"sshd-session", "sshd-auth", "banger-sshd"} < names


@pytest.mark.parametrize("name", ["usr/sbin/qemu-ga", f"{LIBRARIES}/libc.so.6", "sbin/resize2fs"])
def test_packages_without_something_are_refused_by_its_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(BangerError) as caught:
        gathered(tmp_path, {each: data for each, data in TOOLS.items() if each != name})
    assert caught.value.code is Code.INVALID
    assert Path(name).name in str(caught.value)


def test_a_link_that_leaves_the_packages_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "tree" / "usr" / "sbin").mkdir(parents=True)
    (tmp_path / "tree" / "usr" / "sbin" / "sshd").symlink_to("/bin/true")
    with pytest.raises(BangerError):
        gathered(tmp_path, {each: data for each, data in TOOLS.items() if each != "usr/sbin/sshd"})


def test_a_program_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BangerError) as caught:
        gathered(tmp_path, TOOLS | {"usr/bin/zstd": b"#!/bin/sh\n"})
    assert caught.value.code is Code.INVALID
