"""DNS packets that are nearly right, or nothing like it; seeded, so that a failure comes back."""

import random

from dnslib import EDNS0

from tests.unit.services.dns.messages import asked, replied

NAMES = (
    "beta.vm",
    "2.0.77.127.in-addr.arpa",
    "x" * 63 + ".vm",
    "www.example.org",
    "WwW.eXample.ORG",
    ".".join(["a" * 63] * 3 + ["b" * 60]),
)
KINDS = ("A", "AAAA", "PTR", "SOA", "NS", "ANY", "MX", "TXT", "AXFR")


def query(chance: random.Random) -> bytes:
    """A real query, mangled in most cases."""
    size = chance.choice((0, 512, 1232, 65535))
    name, kind, identity = chance.choice(NAMES), chance.choice(KINDS), chance.randrange(65536)
    return mangled(asked(name, kind, size=size, id=identity, rd=chance.randrange(2)), chance)


def reply(chance: random.Random, identity: int) -> bytes:
    """A real reply to a question for www.example.org, mangled in most cases."""
    answers = chance.sample(
        (
            "www.example.org 60 IN CNAME e.example.net",
            "e.example.net 60 IN CNAME www.example.org",
            "e.example.net 60 IN A 192.0.2.1",
            "www.example.org 60 IN A 192.0.2.2",
            "www.example.org 60 IN MX 10 mx.example.org",
        ),
        chance.randrange(5),
    )
    soa = chance.choice((None, (60, 60)))
    record = replied("www.example.org", "A", *answers, soa=soa, identity=identity)
    if chance.random() < 0.5:
        record.add_ar(EDNS0(udp_len=chance.randrange(65536)))
    return mangled(bytes(record.pack()), chance)


def mangled(packet: bytes, chance: random.Random) -> bytes:
    """Cut off, with a tail, replaced altogether or left; then up to seven octets are others."""
    changed = bytearray(packet)
    match chance.randrange(6):
        case 0:
            changed = changed[: chance.randrange(len(changed))]
        case 1:
            changed += chance.randbytes(chance.randrange(600))
        case 2:
            changed = bytearray(chance.randbytes(chance.randrange(1200)))
        case 3:  # pointers, which is what readers of names break on
            at = chance.randrange(12, len(changed))
            changed[at:at] = bytes([0xC0 | chance.randrange(4), chance.randrange(256)])
    for _ in range(chance.randrange(8)):
        if changed:
            changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)
