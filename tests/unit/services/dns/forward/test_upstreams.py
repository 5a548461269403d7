"""Who is asked: resolv.conf(5), read and followed."""

from pathlib import Path

import pytest

from services.dns.forward.upstreams import CHECK_INTERVAL, Upstreams, parse_resolv_conf

OURS = frozenset({"10.77.0.1"})


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("", ()),
        ("nameserver 127.0.0.53\noptions edns0\nsearch .", ("127.0.0.53",)),
        ("# nameserver 192.0.2.9\n  nameserver\t192.0.2.1  # here", ("192.0.2.1",)),
        ("nameserver 2001:db8::1\nnameserver fe80::1%eth0", ("2001:db8::1", "fe80::1%eth0")),
        ("nameserver 10.77.0.1\nnameserver 192.0.2.1", ("192.0.2.1",)),
        ("nameserver 192.0.2.1\nnameserver 192.0.2.1", ("192.0.2.1",)),
        ("nameserver\nnameserver example.org\nnameservers 192.0.2.1", ()),
        (
            "".join(f"nameserver 192.0.2.{n}\n" for n in range(5)),
            tuple(f"192.0.2.{n}" for n in range(3)),
        ),
    ],
    ids="empty resolved comments ipv6 ours twice nonsense many".split(),
)
def test_servers_are_read_as_the_c_library_does_without_ours(
    text: str, hosts: tuple[str, ...]
) -> None:
    assert parse_resolv_conf(text, OURS) == hosts


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 192.0.2.1\n")
    return path


def test_change_is_followed_a_second_later_and_told(path: Path) -> None:
    told: list[bool] = []
    upstreams = Upstreams(OURS, path=path, changed=lambda: told.append(True))
    assert upstreams.hosts(100.0) == ("192.0.2.1",)
    path.write_text("nameserver 192.0.2.22\n")
    assert upstreams.hosts(100.0 + CHECK_INTERVAL / 2) == ("192.0.2.1",)
    assert upstreams.hosts(100.0 + CHECK_INTERVAL) == ("192.0.2.22",)
    assert told == [True, True]


def test_file_put_in_the_others_place_is_followed(path: Path) -> None:
    upstreams = Upstreams(OURS, path=path)
    upstreams.hosts(100.0)
    other = path.with_suffix(".new")
    other.write_text("nameserver 192.0.2.2\n")
    other.rename(path)
    assert upstreams.hosts(102.0) == ("192.0.2.2",)


def test_same_servers_in_a_file_written_again_are_no_change(path: Path) -> None:
    told: list[bool] = []
    upstreams = Upstreams(OURS, path=path, changed=lambda: told.append(True))
    upstreams.hosts(100.0)
    path.write_text("# by dhcp\nnameserver 192.0.2.1\n")
    upstreams.hosts(102.0)
    assert told == [True]


def test_file_that_goes_leaves_nobody_and_that_comes_back_is_read(path: Path) -> None:
    upstreams = Upstreams(OURS, path=path)
    upstreams.hosts(100.0)
    path.unlink()
    assert upstreams.hosts(102.0) == ()
    path.write_text("nameserver 192.0.2.1\n")
    assert upstreams.hosts(104.0) == ("192.0.2.1",)
