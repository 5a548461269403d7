from pathlib import Path

import pytest

from services.images.capture import layer
from services.images.capture.ext4 import ROOT_INODE, Ext4
from services.images.capture.layer import LayerEntry, layer_entries, tree_entries
from shared.errors import BangerError, Code
from tests.unit.services.images.capture.disks import make_disk, upper_tree


def entries(path: Path) -> dict[bytes, LayerEntry]:
    with Ext4(path) as disk:
        return {entry.path: entry for entry in layer_entries(disk)}


def test_only_what_is_in_the_upper_directory_counts(tmp_path: Path) -> None:
    upper = upper_tree(tmp_path / "tree")
    (upper / "opt/tool").mkdir(parents=True)
    (upper / "opt/tool/run").touch()
    (tmp_path / "tree/storage").mkdir()
    found = entries(make_disk(tmp_path / "disk", tmp_path / "tree"))
    assert list(found) == [b"", b"etc", b"opt", b"opt/tool", b"opt/tool/run"]


def test_a_vm_that_never_ran_has_no_layer(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    with pytest.raises(BangerError, match="has never run") as caught:
        entries(make_disk(tmp_path / "disk", tmp_path / "tree"))
    assert caught.value.code is Code.NOT_FOUND


def test_what_overlayfs_needs_stays_and_what_it_noted_of_this_host_goes(tmp_path: Path) -> None:
    upper = upper_tree(tmp_path / "tree")
    (upper / "moved").mkdir()
    commands = [
        "cd upper/etc",
        "mknod gone c 0 0",
        "cd /",
        "ea_set upper/moved trusted.overlay.redirect old",
        "ea_set upper/moved trusted.overlay.opaque y",
        "ea_set upper/moved trusted.overlay.origin x",
        "ea_set upper/moved trusted.overlay.impure y",
        "ea_set upper/moved user.mine z",
    ]
    found = entries(make_disk(tmp_path / "disk", tmp_path / "tree", commands))
    assert found[b"etc/gone"].inode.device == (0, 0)
    assert found[b"moved"].attributes == {
        b"trusted.overlay.redirect": b"old",
        b"trusted.overlay.opaque": b"y",
        b"user.mine": b"z",
    }


def test_the_identity_of_the_vm_is_left_out(tmp_path: Path) -> None:
    upper = upper_tree(tmp_path / "tree")
    for name in ("machine-id", "ssh/ssh_host_rsa_key", "ssh/sshd_config"):
        (upper / "etc" / name).parent.mkdir(exist_ok=True)
        (upper / "etc" / name).touch()
    for directory in ("var/log/journal/0123", "run/x", "tmp/y", "root/z"):
        (upper / directory).mkdir(parents=True)
    found = entries(make_disk(tmp_path / "disk", tmp_path / "tree"))
    assert b"etc/ssh/sshd_config" in found
    assert not {b"etc/machine-id", b"etc/ssh/ssh_host_rsa_key"} & set(found)
    kept = {b"var/log/journal", b"run", b"tmp", b"root"}
    assert kept <= set(found)
    assert not [path for path in found if path.rpartition(b"/")[0] in kept]


def test_files_that_the_boot_wrote_stay_only_when_their_owner_edited_them(tmp_path: Path) -> None:
    upper = upper_tree(tmp_path / "tree")
    records = upper / "var/lib/banger"
    records.mkdir(parents=True)
    for name, now in (("hostname", "web\n"), ("hosts", "127.0.0.1 localhost mine\n")):
        (upper / "etc" / name).write_text(now)
    (records / "hostname").write_text("web\n")
    (records / "hosts").write_text("127.0.0.1 localhost\n")
    (upper / "etc/resolv.conf").write_text("nameserver 192.0.2.1\n")  # without a record
    found = entries(make_disk(tmp_path / "disk", tmp_path / "tree"))
    assert {path for path in found if path.startswith(b"etc/")} == {
        b"etc/hosts",
        b"etc/resolv.conf",
    }
    assert b"var/lib/banger" not in found


@pytest.mark.parametrize(("limit", "value"), [("MOST_ENTRIES", 3), ("MOST_BYTES", 1000)])
def test_a_layer_has_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    upper = upper_tree(tmp_path / "tree")
    (upper / "a").write_bytes(b"x" * 900)
    (upper / "b").write_bytes(b"x" * 900)
    path = make_disk(tmp_path / "disk", tmp_path / "tree")
    monkeypatch.setattr(layer, limit, value)
    with Ext4(path) as disk, pytest.raises(BangerError, match="more than") as caught:
        list(tree_entries(disk, ROOT_INODE))
    assert caught.value.code is Code.TOO_LARGE
