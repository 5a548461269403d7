"""Other firewalls that drop forwarded packets, and what to do about each. Pure.

An ``accept`` in banger's table does not decide alone: every chain on the forward hook has to accept
the packet. Docker has a chain for other programs' rules, DOCKER-USER, and nat inserts two there.
ufw, firewalld and hand-written rules have none; for those the user is shown the command to run.
"""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Backend = Literal["nft", "legacy"]
DOCKER_USER = "DOCKER-USER"
DIRECTIONS = ("iifname", "oifname")
"""The matches for packets from the bridge, and to it."""


@dataclass(frozen=True)
class DockerRules:
    """nat's rules in Docker's chain, as (direction, handle of nft or rule of iptables).

    They are complete when each direction is there once."""

    backend: Backend
    rules: tuple[tuple[str, str], ...] = ()

    @property
    def complete(self) -> bool:
        return sorted(direction for direction, _ in self.rules) == list(DIRECTIONS)


@dataclass(frozen=True)
class Firewalls:
    """Other programs' chains on the forward hook. ``obstacles`` are sentences for the user, each
    with the command to run."""

    docker: tuple[DockerRules, ...] = ()
    obstacles: tuple[str, ...] = ()


def mark(bridge: str) -> str:
    """The comment that marks nat's two rules. A bridge's name needs no quoting."""
    return f"banger-{bridge}"


def has_docker(chains: Iterable[Mapping[str, Any]]) -> bool:
    """Whether Docker's chain is among ``chains``, as ``nft -j list chains`` shows them."""
    return ("ip", "filter", DOCKER_USER) in {(c["family"], c["table"], c["name"]) for c in chains}


def nft_docker_rules(entries: Iterable[Mapping[str, Any]], bridge: str) -> DockerRules:
    """nat's rules, from the output of ``nft -j list chain ip filter DOCKER-USER``."""
    ours = (e["rule"] for e in entries if e.get("rule", {}).get("comment") == mark(bridge))
    return DockerRules("nft", tuple((_direction(rule), str(rule["handle"])) for rule in ours))


def _direction(rule: Mapping[str, Any]) -> str:
    matches = (e["match"]["left"] for e in rule["expr"] if "match" in e)
    return next((str(left["meta"]["key"]) for left in matches if "meta" in left), "")


def nft_open(present: DockerRules, bridge: str) -> str:
    """A transaction after which exactly nat's two rules are there, before all others."""
    rules = (
        f'insert rule ip filter {DOCKER_USER} {direction} "{bridge}" '
        f'counter accept comment "{mark(bridge)}"\n'
        for direction in DIRECTIONS
    )
    return nft_close(present) + "".join(rules)


def nft_close(present: DockerRules) -> str:
    return "".join(
        f"delete rule ip filter {DOCKER_USER} handle {handle}\n" for _, handle in present.rules
    )


def legacy_firewalls(lines: Sequence[str], bridge: str) -> Firewalls:
    """The same for the legacy tables, from the lines of ``iptables-legacy -S``."""
    if f"-N {DOCKER_USER}" in lines:
        words = (
            (line, shlex.split(line)) for line in lines if line.startswith(f"-A {DOCKER_USER} ")
        )
        ours = tuple(
            ("iifname" if "-i" in parts else "oifname", line.removeprefix("-A "))
            for line, parts in words
            if mark(bridge) in parts
        )
        return Firewalls(docker=(DockerRules("legacy", ours),))
    if "-P FORWARD DROP" not in lines:
        return Firewalls()
    ufw = any(line.startswith("-N ufw-") for line in lines)
    command = _ufw(bridge) if ufw else legacy_command(bridge)
    return Firewalls(obstacles=(_obstacle("ufw" if ufw else "iptables-legacy", command),))


def legacy_open(present: DockerRules, bridge: str) -> str:
    """Input of ``iptables-legacy-restore --noflush``, which applies it in one step."""
    comment = f"-m comment --comment {mark(bridge)} -j ACCEPT"
    rules = [f"-I {DOCKER_USER} {flag} {bridge} {comment}" for flag in ("-i", "-o")]
    return _restore([*_deletions(present), *rules])


def legacy_close(present: DockerRules) -> str:
    return _restore(_deletions(present))


def _deletions(present: DockerRules) -> list[str]:
    return [f"-D {rule}" for _, rule in present.rules]


def _restore(rules: Iterable[str]) -> str:
    return "\n".join(["*filter", *rules, "COMMIT", ""])


def legacy_command(bridge: str) -> str:
    return (
        f"iptables-legacy -I FORWARD -i {bridge} -j ACCEPT && "
        f"iptables-legacy -I FORWARD -o {bridge} -j ACCEPT"
    )


def nft_obstacles(chains: Iterable[Mapping[str, Any]], bridge: str, ours: str) -> tuple[str, ...]:
    """The firewalls among ``chains``, as ``nft -j list chains`` shows them, that drop forwarded
    packets.

    ``ours`` is the name of nat's tables. The chain that jumps to Docker's is no obstacle, because
    nat's rules there accept the packets.
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


def _obstacle(firewall: str, command: str) -> str:
    return f"{firewall} drops packets from VMs to the outside; to let them through, run: {command}"
