"""What a nat that root runs for a user takes from its command line, and what it refuses."""

import os
import pwd
import threading
from pathlib import Path

import pytest

from services.nat.deployment.external import (
    CONFIG,
    as_user,
    check_configuration,
    parse,
    wait_for_run_directory,
)
from shared.errors import BangerError, Code

NOBODY = pwd.getpwnam("nobody")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


def test_without_a_user_it_is_the_launchers_own_nat() -> None:
    assert parse([]) is None


def test_the_users_directories_follow_from_the_name_and_roots_own_from_the_uid() -> None:
    nat = parse(["--user", "nobody"])
    assert nat is not None
    uid = NOBODY.pw_uid
    assert nat.paths.run == Path(f"/run/user/{uid}/banger")
    assert nat.paths.state == Path(NOBODY.pw_dir, ".local/state/banger")
    assert nat.config_file == CONFIG
    assert nat.state_dir == Path(f"/run/banger-nat/{uid}")
    assert nat.log_file == Path(f"/var/log/banger/nat-{uid}.log")
    assert (nat.identity.owner, nat.identity.external) == (uid, True)


def test_a_number_names_a_user_too() -> None:
    assert parse(["--user", str(NOBODY.pw_uid)]) == parse(["--user", "nobody"])


@pytest.mark.parametrize(
    ("name", "code"),
    [("no-such-user", Code.NOT_FOUND), ("4294967200", Code.NOT_FOUND), ("root", Code.INVALID)],
)
def test_a_user_that_cannot_be_served_is_refused(name: str, code: Code) -> None:
    with pytest.raises(BangerError) as caught:
        parse(["--user", name])
    assert caught.value.code is code


@as_root
@pytest.mark.parametrize(("mode", "uid"), [(0o666, 0), (0o664, 0), (0o644, NOBODY.pw_uid)])
def test_configuration_in_the_hands_of_others_is_refused(
    tmp_path: Path, mode: int, uid: int
) -> None:
    file = tmp_path / "config.toml"
    check_configuration(file)  # none: the defaults
    file.touch()
    file.chmod(0o644)
    check_configuration(file)
    file.chmod(mode)
    os.chown(file, uid, -1)
    with pytest.raises(BangerError) as caught:
        check_configuration(file)
    assert caught.value.code is Code.DENIED


@as_root
@pytest.mark.parametrize("what", ["symlink", "root's", "open"])
def test_a_run_directory_that_is_not_the_users_alone_is_refused(tmp_path: Path, what: str) -> None:
    run, real = tmp_path / "run", tmp_path / "real"
    real.mkdir(mode=0o700)
    os.chown(real, NOBODY.pw_uid, -1)
    wait_for_run_directory(real, NOBODY.pw_uid)
    if what == "symlink":
        run.symlink_to(real)
    else:
        run.mkdir(mode=0o700)
    if what == "open":
        os.chown(run, NOBODY.pw_uid, -1)
        run.chmod(0o711)
    with pytest.raises(BangerError) as caught:
        wait_for_run_directory(run, NOBODY.pw_uid)
    assert caught.value.code is Code.DENIED


@as_root
def test_a_thread_of_the_user_is_refused_what_the_user_is_and_we_stay_root(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    seen: list[object] = []

    def look() -> None:
        seen.append(os.access(tmp_path, os.R_OK, effective_ids=True))
        child = threading.Thread(target=lambda: seen.append(os.geteuid()))
        child.start()
        child.join()

    as_user(NOBODY, look)
    assert seen == [False, NOBODY.pw_uid]
    assert os.geteuid() == 0
    assert os.access(tmp_path, os.R_OK, effective_ids=True)


@as_root
def test_what_fails_in_the_users_thread_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(PermissionError):
        as_user(NOBODY, (tmp_path / "file").touch)
