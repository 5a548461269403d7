"""Loads nat's rules with nft(8), and reads back which are loaded."""

import errno
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from services.nat.kernel.errors import kernel_error
from services.nat.kernel.system_programs import find, run
from services.nat.ruleset.firewalls import (
    DOCKER_USER,
    DockerRules,
    nft_close,
    nft_docker_rules,
    nft_open,
)
from services.nat.ruleset.rules import FAMILIES, Ruleset, deletion, is_table
from services.nat.ruleset.sets import AllowedAddress, additions, read_allowed
from shared.errors import BangerError, Code


def load(ruleset: Ruleset) -> None:
    """Replace nat's tables by ``ruleset`` in one transaction: all of it, or nothing.

    Raises:
        BangerError: ``missing_tool``, ``denied`` without CAP_NET_ADMIN, ``unavailable``.
    """
    _nft("-f", "-", text=ruleset.text)


def delete(table: str) -> None:
    """Remove the tables with this name; not an error when there are none."""
    _nft("-f", "-", text=deletion(table))


def names_bridge(table: str, bridge: str) -> bool:
    """Whether the loaded table is about ``bridge``; raises as ``load``, and without a table."""
    return f'iifname "{bridge}"' in _nft("list", "table", "inet", table)


def add(table: str, added: Iterable[AllowedAddress], revoked: Iterable[AllowedAddress]) -> None:
    """Add and remove addresses in the loaded sets, in one transaction; raises as ``load``."""
    _nft("-f", "-", text=additions(f"inet {table}", added, revoked))


def allowed_addresses(table: str) -> list[AllowedAddress]:
    """The addresses in the loaded sets; raises as ``load``, and when the tables are not loaded."""
    entries = _listing(f"list table inet {table}")
    return read_allowed(entry["set"] for entry in entries if "set" in entry)


@dataclass(frozen=True)
class LoadedRules:
    """All chains of the host as nft's JSON shows them (libnftables-json(5)), and how many spoofed
    frames were dropped at each tap since nat's rules were loaded. ``table`` is the name of nat's
    own tables."""

    table: str
    chains: tuple[Mapping[str, Any], ...]
    dropped: Mapping[str, int]

    @property
    def ours(self) -> list[tuple[str, str]]:
        """(family, name) of every chain in tables with the names of nat's."""
        return [
            (str(chain["family"]), str(chain["name"]))
            for chain in self.chains
            if chain["table"] == self.table and chain["family"] in FAMILIES
        ]

    @property
    def of_other_nats(self) -> set[str]:
        """The names of other nats' tables: of other users, with other bridges."""
        names = {str(chain["table"]) for chain in self.chains if chain["family"] in FAMILIES}
        return {name for name in names if is_table(name) and name != self.table}


def read(table: str) -> LoadedRules:
    """The rules of all programs. ``table``: that of nat's own. Raises as ``load``."""
    entries = _listing("list chains; list counters")
    counters = (entry["counter"] for entry in entries if "counter" in entry)
    return LoadedRules(
        table=table,
        chains=tuple(entry["chain"] for entry in entries if "chain" in entry),
        dropped={
            str(counter["name"]): int(counter["packets"])
            for counter in counters
            if (counter["family"], counter["table"]) == ("bridge", table)
        },
    )


def docker_rules(bridge: str) -> DockerRules:
    """nat's rules in Docker's chain; raises as ``load``, and when there is no such chain."""
    return nft_docker_rules(_listing(f"list chain ip filter {DOCKER_USER}"), bridge)


def open_docker(present: DockerRules, bridge: str) -> None:
    _nft("-f", "-", text=nft_open(present, bridge))


def close_docker(present: DockerRules) -> None:
    _nft("-f", "-", text=nft_close(present))


def _listing(commands: str) -> list[Mapping[str, Any]]:
    """The entries of all JSON documents that nft prints, one for each command."""
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
        return kernel_error("nft failed", errno.EPERM)
    first = stderr.strip().splitlines()[0] if stderr.strip() else "no message"
    return BangerError(
        Code.UNAVAILABLE, f"nft refused: {first}", hint="see: banger daemon logs nat"
    )
