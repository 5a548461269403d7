"""Whose nat it is when the user's launcher has started it."""

import os
from pathlib import Path

import pytest

from services.nat.deployment.identity import own_identity
from shared.config import Config
from shared.paths import Paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths.from_environment()._replace(run=tmp_path)


def test_owner_of_the_run_directory_is_the_owner_of_the_taps(paths: Paths) -> None:
    identity = own_identity(paths, Config())
    assert (identity.owner, identity.groups) == (os.geteuid(), tuple(os.getgroups()))
    assert (identity.state_dir, identity.external) == (paths.run, False)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_nat_that_alone_is_root_serves_the_owner_without_its_own_groups(paths: Paths) -> None:
    os.chown(paths.run, 1234, 1235)
    identity = own_identity(paths, Config())
    assert (identity.owner, identity.gid, identity.groups) == (1234, 1235, ())


@pytest.mark.parametrize(("mode", "bridge"), [("user", False), ("bridge", True)])
def test_configuration_says_whether_there_is_a_bridge(
    paths: Paths, mode: str, bridge: bool
) -> None:
    assert own_identity(paths, Config(network=mode)).bridge is bridge  # type: ignore[arg-type]
