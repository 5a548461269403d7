"""Loads our rules with nft(8) and reads back which of ours are loaded."""

import errno
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from services.nat.kernel.errors import refusal
from services.nat.kernel.programs import find, run
from services.nat.ruleset.firewalls import (
    DOCKER_USER,
    Opening,
    nft_close,
    nft_open,
    nft_opening,
)
from services.nat.ruleset.rules import DELETE, FAMILIES, TABLE, Ruleset
from services.nat.ruleset.sets import Live, additions, live_elements
from shared.errors import BangerError, Code


def load(ruleset: Ruleset) -> None:
    """Replace our tables by ``ruleset`` in one transaction: all of it, or nothing.

    Raises:
        BangerError: ``missing_tool``, ``denied`` without CAP_NET_ADMIN, ``unavailable``.
    """
    _nft("-f", "-", text=ruleset.text)


def delete() -> None:
    """Remove our tables; not an error when there are none."""
    _nft("-f", "-", text=DELETE)


def add(live: Iterable[Live], unspoken: Iterable[Live]) -> None:
    """Put these into the loaded sets, and take those out, in one transaction; raises as ``load``
    does."""
    _nft("-f", "-", text=additions(f"inet {TABLE}", live, unspoken))


def live() -> list[Live]:
    """What is in the loaded sets of names; raises as ``load`` does, and without our tables."""
    entries = _listing(f"list table inet {TABLE}")
    return live_elements(entry["set"] for entry in entries if "set" in entry)


@dataclass(frozen=True)
class Reading:
    """All chains of the host as nft's JSON has them (libnftables-json(5)), and how many frames were
    dropped at each tap since our rules were loaded."""

    chains: tuple[Mapping[str, Any], ...]
    dropped: Mapping[str, int]

    @property
    def ours(self) -> list[tuple[str, str]]:
        """(family, name) of every chain in the tables named like ours."""
        return [
            (str(chain["family"]), str(chain["name"]))
            for chain in self.chains
            if chain["table"] == TABLE and chain["family"] in FAMILIES
        ]


def read() -> Reading:
    """What is loaded, ours and others'; raises as ``load`` does."""
    entries = _listing("list chains; list counters")
    counters = (entry["counter"] for entry in entries if "counter" in entry)
    return Reading(
        chains=tuple(entry["chain"] for entry in entries if "chain" in entry),
        dropped={
            str(counter["name"]): int(counter["packets"])
            for counter in counters
            if (counter["family"], counter["table"]) == ("bridge", TABLE)
        },
    )


def docker_opening(bridge: str) -> Opening:
    """What is of ours in Docker's chain; raises as ``load`` does, and without that chain."""
    return nft_opening(_listing(f"list chain ip filter {DOCKER_USER}"), bridge)


def open_docker(opening: Opening, bridge: str) -> None:
    _nft("-f", "-", text=nft_open(opening, bridge))


def close_docker(opening: Opening) -> None:
    _nft("-f", "-", text=nft_close(opening))


def _listing(commands: str) -> list[Mapping[str, Any]]:
    """The entries of all documents that nft answers, one for each command."""
    answer, entries = _nft("-j", commands), []
    decoder, position = json.JSONDecoder(), 0
    while position < len(answer):
        document, position = decoder.raw_decode(answer, position)
        entries += document["nftables"]
        while answer[position : position + 1].isspace():
            position += 1
    return entries


def _nft(*arguments: str, text: str = "") -> str:
    if find("nft") is None:
        raise BangerError(
            Code.MISSING_TOOL,
            "nft is not installed: the bridge network cannot be protected without it",
            hint="install the nftables package",
        )
    done = run("nft", *arguments, text=text)
    if done.returncode != 0:
        raise _failure(done.stderr)
    return done.stdout


def _failure(stderr: str) -> BangerError:
    if "Operation not permitted" in stderr:
        return refusal("nft failed", errno.EPERM)
    first = stderr.strip().splitlines()[0] if stderr.strip() else "no message"
    return BangerError(
        Code.UNAVAILABLE, f"nft refused: {first}", hint="see: banger daemon logs nat"
    )
