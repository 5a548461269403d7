"""A lease is held inside, and nowhere afterwards."""

from pathlib import Path

import pytest

from cli.client.lease import lease
from shared.host.locks import is_held
from shared.paths import Paths


def test_a_lease_is_held_until_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with lease() as name, lease() as other:
        paths = [Paths.from_environment().leases / each for each in (name, other)]
        assert all(map(is_held, paths))
        assert paths[0] != paths[1]
        assert paths[0].parent.stat().st_mode & 0o777 == 0o700
    assert not any(path.exists() for path in paths)
