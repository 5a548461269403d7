"""The hardware address that supervisor and nat must agree on."""

from shared.addresses.mac import mac_address


def test_address_is_local_unicast_and_stays_the_same_for_an_id() -> None:
    assert mac_address("0123456789ab") == "02:d4:07:ad:90:18"
    assert mac_address("0123456789ab") != mac_address("0123456789ac")
