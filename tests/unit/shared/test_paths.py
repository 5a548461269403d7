"""Where things live, and the run directory's privacy."""

import os
import subprocess
from pathlib import Path

import pytest

from shared.errors import BangerError, Code
from shared.host.locks import join
from shared.paths import (
    SSH_TEMPORARY,
    Paths,
    check_private,
    check_served_from,
    check_socket_length,
    close_to_others,
    deepest_socket,
    make_private,
    make_vm_run,
)
from shared.vm import files


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONFIG", "DATA", "STATE", "CACHE"):
        monkeypatch.delenv(f"XDG_{name}_HOME", raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.delenv("BANGER_RUN_DIR", raising=False)
    monkeypatch.setenv("HOME", "/home/ada")


def refusal(path: Path) -> BangerError:
    with pytest.raises(BangerError) as caught:
        make_private(path)
    return caught.value


def test_defaults_are_those_of_the_xdg_specification() -> None:
    paths = Paths.from_environment()
    assert paths.config_file == Path("/home/ada/.config/banger/config.toml")
    assert paths.images == Path("/home/ada/.local/share/banger/images")
    assert paths.database == Path("/home/ada/.local/state/banger/banger.db")


def test_xdg_variables_move_the_roots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/srv/state")
    assert Paths.from_environment().vm_state("0123456789ab") == Path(
        "/srv/state/banger/vms/0123456789ab"
    )


def test_relative_xdg_variable_is_ignored_as_the_specification_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "data")
    assert Paths.from_environment().data == Path("/home/ada/.local/share/banger")


def test_run_directory_is_ours_then_the_sessions_then_a_private_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert Paths.from_environment().run == Path("/tmp/banger-1000")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert Paths.from_environment().run == Path("/run/banger")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    assert Paths.from_environment().run == Path("/run/user/1000/banger")
    monkeypatch.setenv("BANGER_RUN_DIR", "/srv/run")
    assert Paths.from_environment().broker_socket == Path("/srv/run/broker.sock")


def test_without_a_session_the_run_directory_is_the_one_that_serves_the_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    state, run = tmp_path / "banger", tmp_path / "run"
    for directory in (state, run):
        directory.mkdir()
    membership = join(state, run)
    assert Paths.from_environment().run == run
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    assert Paths.from_environment().run == run
    check_served_from(str(state), str(run))
    monkeypatch.setenv("BANGER_RUN_DIR", "/srv/run")
    with pytest.raises(BangerError) as caught:
        check_served_from(str(state), str(Paths.from_environment().run))
    assert (caught.value.code, caught.value.hint) == (
        Code.CONFLICT,
        f"set BANGER_RUN_DIR={run}",
    )
    membership.release()


def test_vmms_that_were_left_keep_their_run_directory_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    state, run = tmp_path / "banger", tmp_path / "run"
    handle = run / "vms" / "0123456789ab" / files.HANDLE
    for directory in (state, handle.parent):
        directory.mkdir(parents=True)
    join(state, run).release()
    assert Paths.from_environment().run == Path("/run/user/1000/banger")
    handle.touch()
    assert Paths.from_environment().run == run


def test_a_run_directory_that_is_not_utf8_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANGER_RUN_DIR", "/tmp/\udcff")
    with pytest.raises(BangerError, match="is not UTF-8") as caught:
        Paths.from_environment()
    assert caught.value.code is Code.INVALID


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_directory_below_anothers_private_one_is_denied(tmp_path: Path) -> None:
    """Such as the XDG_RUNTIME_DIR of another user."""
    (tmp_path / "run").mkdir(mode=0o700)
    script = "import sys; from pathlib import Path; from shared import paths; "
    for word in ("check_private", "make_private"):
        run = ["-c", f"{script}paths.{word}(Path(sys.argv[1]))", str(tmp_path / "run/banger")]
        done = subprocess.run(
            ["setpriv", "--reuid=4242", "--clear-groups", "/usr/bin/python3", *run],
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            timeout=20,
        )
        assert "shared.errors.BangerError: cannot " in done.stderr
        assert "Permission denied" in done.stderr


def test_new_run_directory_is_closed_to_others_and_accepted_again(tmp_path: Path) -> None:
    run = tmp_path / "a" / "run"
    make_private(run)
    assert run.stat().st_mode & 0o777 == 0o700
    make_private(run)


def test_a_vms_run_directory_brings_a_vanished_one_back_private(tmp_path: Path) -> None:
    paths = Paths(tmp_path, tmp_path, tmp_path, tmp_path / "run")
    make_vm_run(paths, "0123456789ab")
    assert paths.run.stat().st_mode & 0o777 == 0o700
    assert paths.vm_run("0123456789ab").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o701, 0o770, 0o755, 0o702])
def test_open_directory_is_refused_with_the_command_that_closes_it(
    tmp_path: Path, mode: int
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    run.chmod(mode)
    error = refusal(run)
    assert (error.code, error.hint) == (Code.DENIED, f"chmod 700 {run}")


def test_symlink_is_refused_even_to_a_private_directory(tmp_path: Path) -> None:
    make_private(tmp_path / "real")
    (tmp_path / "run").symlink_to(tmp_path / "real")
    assert refusal(tmp_path / "run").code is Code.DENIED


def test_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    assert "is not a directory" in refusal(tmp_path / "run").message


def test_directory_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_private(tmp_path / "run")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    error = refusal(tmp_path / "run")
    assert error.code is Code.DENIED
    assert f"belongs to uid {os.getuid()}" in error.message


def test_the_deepest_socket_is_the_longest_that_anybody_makes() -> None:
    sockets = [value for name, value in vars(files).items() if name.endswith("_SOCKET")]
    jailed = [f"{files.JAIL}/{name}" for name in sockets]
    made_by_ssh = f"{files.SSH_SOCKET}{'x' * SSH_TEMPORARY}"
    longest = max(len(f"vms/0123456789ab/{name}") for name in (*sockets, *jailed, made_by_ssh))
    assert longest == deepest_socket()


def test_run_directory_may_be_as_long_as_its_sockets_fit() -> None:
    room = 107 - 1 - deepest_socket()
    check_socket_length(Path("/" + "r" * (room - 1)))
    with pytest.raises(BangerError) as caught:
        check_socket_length(Path("/" + "r" * room))
    assert caught.value.code is Code.INVALID
    assert "108 bytes" in caught.value.message


def test_socket_length_counts_bytes_not_characters() -> None:
    with pytest.raises(BangerError):
        check_socket_length(Path("/" + "\N{LATIN SMALL LETTER E WITH ACUTE}" * 40))


def test_a_directory_that_was_open_is_closed_and_what_is_in_it_stays(tmp_path: Path) -> None:
    state = tmp_path / "deep" / "state"
    close_to_others(state)
    (state / "file").touch()
    state.chmod(0o755)
    close_to_others(state)
    assert state.stat().st_mode & 0o777 == 0o700
    assert (state / "file").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_is_private_to_the_owner_who_is_asked_for(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir(mode=0o700)
    os.chown(run, 4242, -1)
    check_private(run, owner=4242)
    with pytest.raises(BangerError, match="the user it is for") as caught:
        check_private(run, owner=4243)
    assert caught.value.code is Code.DENIED
