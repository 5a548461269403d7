"""How long a VM waits for its tap, and the tap takes to go, against ``ip`` and ``nft`` by hand.

As root, in a network namespace of its own: nothing of the host is touched. One pass of nat over the
kernel is measured, with a neighbour on the bridge (the usual case) and without (then the bridge,
the rules and forwarding come and go, too). By hand means a tap on a bridge and an address in a set
of a rule, as one would do it in a script; it does not look at what is there, as nat does.
"""

import os
import subprocess
import tempfile
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness.measure import Figure, NotHere, Pair, medians, seconds
from services.nat.plan.state import BridgeGuest
from tests.integration.nat_lab import Lab, made_lab, spec

CYCLES = 50
LIMIT = 60.0
"""Milliseconds for each attach and each detach."""

NEIGHBOUR = spec("aaaaaaaaaaaa", "10.77.0.2", nat=True)
GUEST = spec("bbbbbbbbbbbb", "10.77.0.3", nat=True, publish="0.0.0.0:8080:80")


class Script(NamedTuple):
    """By hand: what ``ip -batch`` reads, then what ``nft -f`` reads."""

    ip: str
    nft: str


MAKE_BRIDGE = Script(
    "link add hand type bridge\naddr add 10.78.0.1/24 dev hand\nlink set hand up\n",
    "table ip hand {\n"
    "  set guests { type ipv4_addr; }\n"
    "  chain out {\n"
    "    type nat hook postrouting priority 100; ip saddr @guests masquerade\n"
    "  }\n"
    "}\n",
)
REMOVE_BRIDGE = Script("link delete hand\n", "delete table ip hand\n")
MAKE_TAP = Script(
    "tuntap add dev hand0 mode tap\nlink set hand0 master hand up\n",
    "add element ip hand guests { 10.78.0.3 }\n",
)
REMOVE_TAP = Script("link delete hand0\n", "delete element ip hand guests { 10.78.0.3 }\n")


def figures(*, smoke: bool) -> list[Figure]:
    """Raises AssertionError when the host is not as it was before."""
    if os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        raise NotHere("it needs root and /dev/net/tun, to make network namespaces and taps")
    cycles = 1 if smoke else CYCLES
    with tempfile.TemporaryDirectory() as directory, made_lab(Path(directory)) as lab:
        before = lab.dump()
        alone = _cycles(lab, (), [MAKE_BRIDGE, MAKE_TAP], [REMOVE_TAP, REMOVE_BRIDGE], cycles)
        lab.reconcile(NEIGHBOUR)
        _by_hand(lab, [MAKE_BRIDGE])
        beside = _cycles(lab, (NEIGHBOUR,), [MAKE_TAP], [REMOVE_TAP], cycles)
        _by_hand(lab, [REMOVE_BRIDGE])
        lab.reconcile()
        assert lab.dump() == before, "something is left"
    return [*_figures("the only VM", *alone), *_figures("a VM beside another", *beside)]


def _cycles(
    lab: Lab, others: tuple[BridgeGuest, ...], make: list[Script], remove: list[Script], cycles: int
) -> tuple[list[Pair], list[Pair]]:
    """Seconds of each attach and each detach, by nat and by hand."""
    attach, detach = [], []
    for _ in range(cycles):
        ours = seconds(lambda: lab.reconcile(*others, GUEST))
        attach.append((ours, seconds(lambda: _by_hand(lab, make))))
        ours = seconds(lambda: lab.reconcile(*others))
        detach.append((ours, seconds(lambda: _by_hand(lab, remove))))
    return attach, detach


def _by_hand(lab: Lab, scripts: list[Script]) -> None:
    ip, nft = ("".join(lines) for lines in zip(*scripts, strict=True))
    for argv, lines in ((["ip", "-batch", "-"], ip), (["nft", "-f", "-"], nft)):
        lab.place.run(partial(subprocess.run, argv, input=lines, text=True, check=True))


def _figures(what: str, attach: list[Pair], detach: list[Pair]) -> list[Figure]:
    found = []
    for verb, pairs in (("attach", attach), ("detach", detach)):
        measured, by_hand = (value * 1e3 for value in medians(pairs))
        name, against = f"nat: {verb} {what}", "ip and nft by hand"
        found.append(Figure(name, "ms", measured, by_hand, against, len(pairs), limit=LIMIT))
    return found
