"""The configuration file: defaults, and refusals that name the key."""

import os
from pathlib import Path

import pytest

from shared.addresses.loopback import loopback_subnet
from shared.config import Config, load_config
from shared.errors import BangerError, Code


def load(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return load_config(path)


def refusal(tmp_path: Path, text: str) -> str:
    with pytest.raises(BangerError) as caught:
        load(tmp_path, text)
    assert caught.value.code is Code.INVALID
    assert str(tmp_path / "config.toml") in caught.value.message
    return caught.value.message


def test_missing_file_gives_the_defaults(tmp_path: Path) -> None:
    config = load_config(tmp_path / "none.toml")
    assert config == Config()
    assert (config.user_network, config.dns.port) == (loopback_subnet(os.geteuid()), 42069)


def test_what_is_given_replaces_its_default_only(tmp_path: Path) -> None:
    config = load(tmp_path, 'accel = "tcg"\n[defaults]\nvcpu = 3\n')
    assert (config.accel, config.defaults.vcpu, config.defaults.disk) == ("tcg", 3, "8G")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("colour = 1", "colour"),
        ("[nat]\nbrigde = 'x'", "brigde"),
        ("[defaults]\nmemory = 1", "memory"),
    ],
)
def test_unknown_key_is_named(tmp_path: Path, text: str, key: str) -> None:
    assert f"`{key}`" in refusal(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('accel = "xen"', "accel"),
        ("network = 1", "network"),
        ('[dns]\nport = "53"', "dns.port"),
        ("[defaults]\nvcpu = 1.5", "defaults.vcpu"),
        ("[dns]\nport = 99999", "dns.port"),
        ("[dns]\nport = -1", "dns.port"),
        (f"[dns]\nport = {10**30}", "dns.port"),
        ("boot_timeout = nan", "boot_timeout"),
        ("boot_timeout = inf", "boot_timeout"),
        ("boot_timeout = 0.0", "boot_timeout"),
        ("auto_stop_stale_after = nan", "auto_stop_stale_after"),
        ("auto_stop_stale_after = -1.0", "auto_stop_stale_after"),
        ("[firecracker]\njail_uids = 4294967295", "firecracker.jail_uids"),
        ("[firecracker]\ndisk_mib_per_second = -1", "firecracker.disk_mib_per_second"),
    ],
)
def test_wrong_value_is_refused_with_its_key(tmp_path: Path, text: str, key: str) -> None:
    assert f"$.{key}" in refusal(tmp_path, text)


@pytest.mark.parametrize("subnet", ["banana", "10.77.0.1/24", "10.77.0.0/33", "::/64", " "])
@pytest.mark.parametrize("place", ["user_subnet = {!r}", "[nat]\nsubnet = {!r}"])
def test_bad_subnet_is_refused_at_load(tmp_path: Path, place: str, subnet: str) -> None:
    refusal(tmp_path, place.format(subnet))


@pytest.mark.parametrize("text", [f"a = {'[' * 5000}", f"a = {'{b=' * 5000}", f"a = {'9' * 5000}"])
def test_what_the_parser_cannot_hold_is_refused(tmp_path: Path, text: str) -> None:
    refusal(tmp_path, text)


def test_files_for_guests_are_checked_at_load(tmp_path: Path) -> None:
    entry = '[[file_sync]]\nhost = "{}"\nguest = "~/.netrc"\n'
    assert load(tmp_path, entry.format("~/.netrc")).file_sync[0].host == "~/.netrc"
    message = refusal(tmp_path, entry.format("~/../eve/.netrc"))
    assert "file_sync[0].host: ~/../eve/.netrc: .. is not allowed" in message


def test_file_that_is_not_toml_is_refused(tmp_path: Path) -> None:
    assert "Invalid value" in refusal(tmp_path, "accel =")
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BangerError):
        load_config(tmp_path / "config.toml")


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("", "user"),
        ("[nat]\nenabled = true", "bridge"),
        ('network = "user"\n[nat]\nenabled = true', "user"),
        ('network = "bridge"', "bridge"),
    ],
)
def test_auto_is_bridge_only_where_nat_is_enabled(tmp_path: Path, text: str, mode: str) -> None:
    assert load(tmp_path, text).network_mode == mode
