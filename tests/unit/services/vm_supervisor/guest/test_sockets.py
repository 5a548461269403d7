"""Reading the guest's socket tables."""

import pytest

from services.vm_supervisor.guest.sockets import decode_address, parse_sockets

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1
   1: 0100007F:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2
   2: 0F02000A:0016 0202000A:D2F0 01 00000000:00000000 00:00000000 00000000     0        0 3
   3: 0000
"""


def test_only_listening_sockets_count() -> None:
    found = [(one.port, one.address) for one in parse_sockets("tcp", TCP)]
    assert found == [(22, "0.0.0.0"), (3000, "127.0.0.1")]


@pytest.mark.parametrize(
    "local",
    [
        "",
        "00000000",
        "00000000:",
        "00000000:10000",
        "xyz:0016",
        "00:0016",
        ":0016",
        "0" * 8 + ":0000",
    ],
)
def test_a_line_that_no_kernel_writes_is_skipped(local: str) -> None:
    line = f"   0: {local or '-'} 00000000:0000 0A 0 0 0 0 0 1"
    assert list(parse_sockets("tcp", f"header\n{line}\n")) == []


def test_an_empty_table_has_no_sockets() -> None:
    assert list(parse_sockets("udp", "")) == []


def test_addresses_are_words_in_the_guests_byte_order() -> None:
    assert decode_address("0F02000A") == "10.0.2.15"
    assert decode_address("00000000000000000000000001000000") == "::1"
    assert decode_address("0000000000000000FFFF00000100007F") == "127.0.0.1"
