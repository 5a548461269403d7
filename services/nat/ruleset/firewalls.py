"""Firewalls of others that drop what the host forwards, and what to do about each. Pure.

An ``accept`` in our table is not the last word: every chain on the forward hook is asked. Docker
has a chain for the rules of others, DOCKER-USER, and there we put two. Nobody else has: who runs
ufw, firewalld or rules of their own is told the command.
"""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Backend = Literal["nft", "legacy"]
DOCKER_USER = "DOCKER-USER"
DIRECTIONS = ("iifname", "oifname")
"""Of packets from the bridge, and to it."""


@dataclass(frozen=True)
class Opening:
    """What is of ours in Docker's chain: the handle (nft) or rule (iptables) by direction.

    Complete when each direction is there once."""

    backend: Backend
    rules: tuple[tuple[str, str], ...] = ()

    @property
    def complete(self) -> bool:
        return sorted(direction for direction, _ in self.rules) == list(DIRECTIONS)


@dataclass(frozen=True)
class Firewalls:
    """What others have on the forward hook. ``obstacles`` are sentences with what to run."""

    docker: tuple[Opening, ...] = ()
    obstacles: tuple[str, ...] = ()


def mark(bridge: str) -> str:
    """The comment by which our two rules are known; only a bridge's name, so nothing to quote."""
    return f"banger-{bridge}"


def has_docker(chains: Iterable[Mapping[str, Any]]) -> bool:
    """Whether Docker's chain is among ``chains``, as ``nft -j list chains`` shows them."""
    return ("ip", "filter", DOCKER_USER) in {(c["family"], c["table"], c["name"]) for c in chains}


def nft_opening(entries: Iterable[Mapping[str, Any]], bridge: str) -> Opening:
    """What of ``nft -j list chain ip filter DOCKER-USER`` is ours."""
    ours = (e["rule"] for e in entries if e.get("rule", {}).get("comment") == mark(bridge))
    return Opening("nft", tuple((_direction(rule), str(rule["handle"])) for rule in ours))


def _direction(rule: Mapping[str, Any]) -> str:
    matches = (e["match"]["left"] for e in rule["expr"] if "match" in e)
    return next((str(left["meta"]["key"]) for left in matches if "meta" in left), "")


def nft_open(opening: Opening, bridge: str) -> str:
    """The transaction after which exactly our two rules are there, before everybody else's."""
    rules = (
        f'insert rule ip filter {DOCKER_USER} {direction} "{bridge}" '
        f'counter accept comment "{mark(bridge)}"\n'
        for direction in DIRECTIONS
    )
    return nft_close(opening) + "".join(rules)


def nft_close(opening: Opening) -> str:
    return "".join(
        f"delete rule ip filter {DOCKER_USER} handle {handle}\n" for _, handle in opening.rules
    )


def legacy_firewalls(lines: Sequence[str], bridge: str) -> Firewalls:
    """The same of the older tables, from the lines of ``iptables-legacy -S``."""
    if f"-N {DOCKER_USER}" in lines:
        words = (
            (line, shlex.split(line)) for line in lines if line.startswith(f"-A {DOCKER_USER} ")
        )
        ours = tuple(
            ("iifname" if "-i" in parts else "oifname", line.removeprefix("-A "))
            for line, parts in words
            if mark(bridge) in parts
        )
        return Firewalls(docker=(Opening("legacy", ours),))
    if "-P FORWARD DROP" not in lines:
        return Firewalls()
    ufw = any(line.startswith("-N ufw-") for line in lines)
    command = _ufw(bridge) if ufw else legacy_command(bridge)
    return Firewalls(obstacles=(_obstacle("ufw" if ufw else "iptables-legacy", command),))


def legacy_open(opening: Opening, bridge: str) -> str:
    """Input of ``iptables-legacy-restore --noflush``, which is one change too."""
    comment = f"-m comment --comment {mark(bridge)} -j ACCEPT"
    rules = [f"-I {DOCKER_USER} {flag} {bridge} {comment}" for flag in ("-i", "-o")]
    return _restore([*_deletions(opening), *rules])


def legacy_close(opening: Opening) -> str:
    return _restore(_deletions(opening))


def _deletions(opening: Opening) -> list[str]:
    return [f"-D {rule}" for _, rule in opening.rules]


def _restore(rules: Iterable[str]) -> str:
    return "\n".join(["*filter", *rules, "COMMIT", ""])


def legacy_command(bridge: str) -> str:
    return (
        f"iptables-legacy -I FORWARD -i {bridge} -j ACCEPT && "
        f"iptables-legacy -I FORWARD -o {bridge} -j ACCEPT"
    )


def nft_obstacles(chains: Iterable[Mapping[str, Any]], bridge: str, ours: str) -> tuple[str, ...]:
    """Who else drops forwarded packets, of ``chains`` as ``nft -j list chains`` shows them.

    ``ours`` is the name of our tables. The chain that asks Docker's is none: we are let through.
    """
    listed = list(chains)
    docker, ufw = has_docker(listed), any(c["name"].startswith("ufw-") for c in listed)
    found: list[str] = []
    for chain in listed:
        table = (chain["family"], chain["table"])
        if chain.get("hook") != "forward" or chain["table"] == ours:
            continue
        if table == ("inet", "firewalld"):
            command = f"firewall-cmd --permanent --zone=trusted --add-interface={bridge}"
            found.append(_obstacle("firewalld", f"{command} && firewall-cmd --reload"))
        elif chain["family"] in ("ip", "inet") and chain.get("policy") == "drop":
            if table == ("ip", "filter") and (docker or ufw):
                found += [] if docker else [_obstacle("ufw", _ufw(bridge))]
            else:
                found.append(_obstacle("the chain " + _named(chain), _nft(chain, bridge)))
    return tuple(dict.fromkeys(found))


def _named(chain: Mapping[str, Any]) -> str:
    return f"{chain['family']} {chain['table']} {chain['name']}"


def _nft(chain: Mapping[str, Any], bridge: str) -> str:
    rules = (f"nft insert rule {_named(chain)} {way} {bridge} accept" for way in DIRECTIONS)
    return " && ".join(rules)


def _ufw(bridge: str) -> str:
    return f"ufw route allow in on {bridge} && ufw route allow out on {bridge}"


def _obstacle(who: str, command: str) -> str:
    return f"{who} drops what VMs send outside; let them through: {command}"
