"""Print the table of verbs in docs/protocol.md from the catalogue; ``--write`` puts it in place."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from shared.contract.catalogue import all_verbs  # noqa: E402

PAGE = ROOT / "docs/protocol.md"
HEADING = "## 8. Verbs\n"
INTRODUCTION = """
Printed from `shared/contract/verbs` by `scripts/protocol_table.py --write`; do not edit.

*I*: idempotent, may be sent again. *O*: starts an operation under the request's id, which outlives
its caller; after a crash of the service the same id finds what the store has of it. *P*: sends
partials. *Limit*: seconds that a request without a deadline of its own gets, and a `timeout` in its
body on top. `vm` is the supervisor of one VM, service `vm:ID`. Types are the structs of
`shared/contract/messages`; `{}` is nothing.

"""


def section() -> str:
    """Section 8 as it is to stand in the document."""
    return f"{HEADING}{INTRODUCTION}{table()}\n"


def table() -> str:
    rows = ["| service | verb | request → result | | limit | notes |", "| --- " * 6 + "|"]
    for verb in all_verbs():
        marks = [(verb.idempotent, "I"), (verb.operation, "O"), (verb.partials, "P")]
        flags = " ".join(letter for holds, letter in marks if holds)
        types = f"{_name(verb.request)} → {_name(verb.result)}"
        cells = [verb.service, f"`{verb.name}`", types, flags, f"{verb.seconds:g}", verb.notes]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _name(kind: type) -> str:
    return "{}" if kind.__name__ in ("Empty", "NoneType") else kind.__name__


def main() -> None:
    if "--write" not in sys.argv:
        print(section(), end="")
        return
    before = PAGE.read_text().partition(HEADING)[0]
    PAGE.write_text(before + section())


if __name__ == "__main__":
    main()
