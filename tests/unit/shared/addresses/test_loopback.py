"""Whose loopback addresses are whose."""

from itertools import pairwise

import pytest

from shared.addresses.loopback import ROOTS, loopback_subnet


def test_root_has_what_all_users_had() -> None:
    assert loopback_subnet(0) == ROOTS


@pytest.mark.parametrize(
    ("uid", "subnet"), [(1000, "127.143.160.0/22"), (8191, "127.255.252.0/22")]
)
def test_subnet_of_a_user_is_made_from_the_uid(uid: int, subnet: str) -> None:
    assert str(loopback_subnet(uid)) == subnet
    assert loopback_subnet(uid) == loopback_subnet(uid + 8192)


def test_users_of_one_host_never_share_addresses() -> None:
    subnets = sorted([ROOTS, *(loopback_subnet(uid) for uid in range(60_000, 60_000 + 8192))])
    assert not any(one.overlaps(other) for one, other in pairwise(subnets))
