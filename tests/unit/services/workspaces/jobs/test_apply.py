"""What a guest has changed, in the host's repository."""

from pathlib import Path

import pytest

from shared.contract.ssh_access import Access
from shared.errors import BangerError, Code
from tests.repositories import fingerprint, ordinary, write
from tests.workspaces import LocalWorkspace, place


@pytest.fixture
def workspace(tmp_path: Path, guest_access: Access) -> LocalWorkspace:
    return place(ordinary(tmp_path / "host"), tmp_path / "vm", guest_access)


def test_changes_of_both_sides_come_together(workspace: LocalWorkspace) -> None:
    host, guest = workspace.host, workspace.guest
    write(host, "README", "read me\nedited on the host\n")
    write(host, "mine", "untracked\n")
    write(guest, "README", "edited in the guest\nread me\n")
    write(guest, "new/deep/file", "new\n", 0o755)
    (guest / "src/other.py").unlink()
    (guest / "link").symlink_to("README")
    git_before = fingerprint(host / ".git")
    applied = workspace.apply()
    assert (host / "README").read_text() == "edited in the guest\nread me\nedited on the host\n"
    assert (host / "new/deep/file").stat().st_mode & 0o777 == 0o755
    assert not (host / "src/other.py").exists()
    assert (host / "link").readlink() == Path("README")
    assert (host / "mine").read_text() == "untracked\n"
    kinds = {change.path: change.kind for change in applied.changes}
    assert kinds == {
        "README": "modified",
        "link": "added",
        "new/deep/file": "added",
        "src/other.py": "deleted",
    }
    after = fingerprint(host / ".git")
    own = str(host / ".git").encode()
    assert {k: v for k, v in after.items() if k != own} == {
        k: v for k, v in git_before.items() if k != own
    }
    assert workspace.apply().changes == []


def test_a_conflict_names_the_files_and_touches_nothing(workspace: LocalWorkspace) -> None:
    host, guest = workspace.host, workspace.guest
    write(host, "README", "host\n")
    write(guest, "README", "guest\n")
    write(guest, "new", "new\n")
    before = fingerprint(host)
    with pytest.raises(BangerError) as caught:
        workspace.apply()
    assert caught.value.code is Code.CONFLICT
    assert caught.value.details["paths"] == ["README"]
    assert fingerprint(host) == before
