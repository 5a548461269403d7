"""What nft(8) prints, from a script in its place."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from services.nat.kernel import nftables, system_programs
from services.nat.ruleset.rules import Ruleset
from shared.errors import BangerError, Code

Script = Callable[[str], None]


@pytest.fixture
def nft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Puts a shell script in the place of nft."""
    monkeypatch.setattr(system_programs, "SYSTEM_PATH", str(tmp_path))

    def put(script: str) -> None:
        program = tmp_path / "nft"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    return put


def chain(family: str, table: str, name: str) -> dict[str, object]:
    return {"chain": {"family": family, "table": table, "name": name}}


def test_chains_and_counters_are_read_from_one_document_for_each_command(nft: Script) -> None:
    chains = [chain("inet", "banger", "input"), chain("ip", "banger", "x"), chain("ip", "a", "b")]
    counters = [
        {"counter": {"family": "bridge", "table": "banger", "name": "bgr1", "packets": 3}},
        {"counter": {"family": "bridge", "table": "other", "name": "bgr2", "packets": 4}},
    ]
    documents = [json.dumps({"nftables": entries}) for entries in (chains, counters)]
    nft("\n".join(["/bin/cat <<'EOF'", *documents, "EOF"]))
    found = nftables.read("banger")
    assert found.ours == [("inet", "input")]
    assert len(found.chains) == 3
    assert found.dropped == {"bgr1": 3}


def test_ruleset_is_handed_over_as_input(nft: Script, tmp_path: Path) -> None:
    nft(f'echo "$@" > {tmp_path}/arguments; cat > {tmp_path}/input')
    nftables.load(Ruleset("table inet banger { }\n", "0"))
    assert (tmp_path / "arguments").read_text() == "-f -\n"
    assert (tmp_path / "input").read_text() == "table inet banger { }\n"


@pytest.mark.parametrize(
    ("stderr", "code", "message"),
    [
        ("netlink: Error: Operation not permitted", Code.DENIED, "may not change"),
        ("Error: syntax error", Code.UNAVAILABLE, "nft refused: Error: syntax error"),
        ("", Code.UNAVAILABLE, "no message"),
    ],
)
def test_refusal_says_why(nft: Script, stderr: str, code: Code, message: str) -> None:
    nft(f'echo "{stderr}" >&2; echo more >&2; exit 1' if stderr else "exit 1")
    with pytest.raises(BangerError, match=message) as caught:
        nftables.delete("banger")
    assert caught.value.code is code


def test_host_without_nft_is_told_which_package_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system_programs, "SYSTEM_PATH", str(tmp_path))
    with pytest.raises(BangerError) as caught:
        nftables.read("banger")
    assert caught.value.code is Code.MISSING_TOOL
    assert "nftables" in caught.value.hint
