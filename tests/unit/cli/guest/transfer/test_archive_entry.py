"""What a copy keeps of a mode."""

from cli.guest.transfer.archive_entry import kept_mode


def test_no_copy_runs_as_its_owner_because_the_owner_changes() -> None:
    assert kept_mode(0o106755, directory=False) == 0o755
    assert kept_mode(0o43777, directory=True) == 0o1777
    assert kept_mode(0o101644, directory=False) == 0o644
