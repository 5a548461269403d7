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
VMM: during a stop, and in a `failed` VM whose supervisor was lost. `resize` is `vm set` with sizes
or a VMM. `fork` is `vm fork`, and `vm run --from` with a VM; a fork of a snapshot asks for no
state.

A `suspended` VM has its memory on disk and no VMM. `vm start` and `vm resume` bring it back where
it was, also after a reboot of the host. Only `vm start --discard-memory`, `vm snapshot restore` and
`vm delete` drop that memory; `vm stop` does not, and `vm prune` does not take the VM.
[snapshots.md](snapshots.md) says what is saved. One that was suspended because nobody used it lets
sessions in: it wakes for them ([idle.md](idle.md)).

A guest that reboots itself is launched again, and has `failed` with the reason when that cannot be.

"""


CANCEL = """
## What a cancel does

`banger ops cancel`, or Ctrl-C in the command that waits, returns when the operation has ended. The
state of the operation says what became of the VM: one that can no longer be prevented is `done`,
and `ops cancel` answers `conflict`.

| operation | when it is cancelled | the VM | the operation |
| --- | --- | --- | --- |
| `vm.create` | while image or kernel are built, or the row is made | is not there | `cancelled` |
| | during the boot | is removed | `cancelled` |
| | when the guest has answered | `running` | `done` |
| `vm.start` | while another verb has the VM | as it was | `cancelled` |
| | during the boot | `stopped` (`created` if it never had a VMM) | `cancelled` |
| | when the guest has answered | `running` | `done` |
| `vm.stop` | before the guest was told to power off | `running` | `cancelled` |
| | when it was told: it is not ended by force any more | `stopping`, `stopped` | `done` |
| | the same, and the guest is still up at the stop's timeout | `running` | `cancelled` |
| | when the VMM is being ended by force | `stopped` | `done` |
| `vm.suspend` | until its memory is on disk | `running`, or `paused` if it was | `cancelled` |
| | afterwards | `suspended` | `done` |
| `vm.resume` of a suspended VM | until its guest goes on | `suspended` | `cancelled` |
| | afterwards | `running` | `done` |
| `vm.restart` | during the stop | as for `vm.stop`, and it is not started again | `cancelled` |
| | during the boot | as for `vm.start` | |
| `snapshot.create` | until the snapshot is complete | as it was | `cancelled` |
| `snapshot.restore` | until its VMM is ended | as it was | `cancelled` |
| | afterwards | `running`, or `stopped` without memory | `done` |
| `vm.fork` | until all forks have answered | as it was; the forks are removed | `cancelled` |
| `workspace.prepare`, `.sync` | until the guest has all | without what arrived | `cancelled` |
| | afterwards | has the workspace | `done` |
| `workspace.status`, `.export` | at any time | as it was | `cancelled` |
| `workspace.apply` | until the host's files are written | as it was, the host too | `cancelled` |
| | afterwards | as it was; the host has the changes | `done` |

`kill`, `pause`, `resume` of a paused VM, `snapshot.delete` and `delete` are no operations. Ctrl-C
does not take them back: the command waits until they are done. After Ctrl-C in `set`, `rename` and
`publish`, what was stored stays.
"""


def document() -> str:
    rows = [["state", *Action], ["---"] * (len(Action) + 1)]
    for state, meanings in TABLE.items():
        mark = " •" if state in LIVE else ""
        rows.append([f"`{state}`{mark}", *(meanings[action].value for action in Action)])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return HEAD + "\n".join(lines) + "\n\n• A VMM process is there, or about to be.\n" + CANCEL


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        (ROOT / "docs" / "lifecycle.md").write_text(document())
    else:
        sys.stdout.write(document())
