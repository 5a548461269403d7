"""Loads our rules with nft(8) and reads back which of ours are loaded."""

import errno
import json
import shutil
import subprocess
from collections.abc import Iterable

from services.nat.refusal import refusal
from services.nat.rules import DELETE, FAMILIES, TABLE, Ruleset
from services.nat.sets import Live, additions, live_elements
from shared.errors import BangerError, Code

TIMEOUT = 20.0
"""Seconds for one nft run; it takes milliseconds unless the kernel is in trouble."""

_SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
"""Where nft is, also for a user whose PATH lacks the sbin directories."""


def load(ruleset: Ruleset) -> None:
    """Replace our tables by ``ruleset`` in one transaction: all of it, or nothing.

    Raises:
        BangerError: ``missing_tool``, ``denied`` without CAP_NET_ADMIN, ``unavailable``.
    """
    _nft("-f", "-", text=ruleset.text)


def delete() -> None:
    """Remove our tables; not an error when there are none."""
    _nft("-f", "-", text=DELETE)


def add(live: Iterable[Live]) -> None:
    """Put these into the loaded sets in one transaction; raises as ``load`` does."""
    _nft("-f", "-", text=additions(f"inet {TABLE}", live))


def live() -> list[Live]:
    """What is in the loaded sets of names; raises as ``load`` does, and without our tables."""
    listing = json.loads(_nft("-j", "list", "table", "inet", TABLE))
    return live_elements(entry["set"] for entry in listing["nftables"] if "set" in entry)


def our_chains() -> list[tuple[str, str]]:
    """(family, name) of every chain in the tables named like ours; empty when there are none."""
    listing = json.loads(_nft("-j", "list", "chains"))
    chains = (entry["chain"] for entry in listing["nftables"] if "chain" in entry)
    return [
        (str(chain["family"]), str(chain["name"]))
        for chain in chains
        if chain["table"] == TABLE and chain["family"] in FAMILIES
    ]


def _nft(*arguments: str, text: str = "") -> str:
    program = shutil.which("nft", path=_SYSTEM_PATH)
    if program is None:
        raise BangerError(
            Code.MISSING_TOOL,
            "nft is not installed: the bridge network cannot be protected without it",
            hint="install the nftables package",
        )
    try:
        done = subprocess.run(
            [program, *arguments], input=text, capture_output=True, text=True, timeout=TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BangerError(Code.UNAVAILABLE, f"nft did not run: {error}") from error
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
