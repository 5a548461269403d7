"""Print docs/lifecycle.md from shared/contract/lifecycle.py; ``--write`` puts it in place."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from shared.contract.lifecycle import LIVE, TABLE, Action  # noqa: E402

HEAD = """\
# The lifecycle of a VM

Printed from `shared/contract/lifecycle.py` by `scripts/lifecycle_table.py --write`; do not edit.

What an action comes to, by the state of the VM. `act`: it is carried out. `nothing`: it is so
already, which is success. `conflict` (exit status 4) and `not_running` (exit status 5) are refusals
that say what to do instead. In every state a VM can be deleted, and its egress policy, its
published ports and its name can be changed. `session` is `vm ssh`, `vm exec`, `vm cp`: all that
needs the guest. It is let in beyond the table while a guest that has answered once still has its
VMM: during a stop, and in a `failed` VM whose supervisor was lost.

A `start` that is cancelled ends the boot, unless the guest is ready by then. A `stop` that is
cancelled leaves the VM `running`; a guest that follows it all the same is `stopped`. A guest that
reboots itself is launched again, and has `failed` with the reason when that cannot be.

"""


def document() -> str:
    rows = [["state", *Action], ["---"] * (len(Action) + 1)]
    for state, meanings in TABLE.items():
        mark = " •" if state in LIVE else ""
        rows.append([f"`{state}`{mark}", *(meanings[action].value for action in Action)])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return HEAD + "\n".join(lines) + "\n\n• A VMM process is there, or about to be.\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        (ROOT / "docs" / "lifecycle.md").write_text(document())
    else:
        sys.stdout.write(document())
