"""Write docs/cli.md from the commands themselves: ``python scripts/cli_docs.py``."""

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import click  # noqa: E402

from cli.root import banger  # noqa: E402

PAGE = ROOT / "docs" / "cli.md"

PREFACE = """\
# The `banger` command

Written by `scripts/cli_docs.py` from the commands; change them, not this page.

## What holds for all commands

**Output.** stdout is data, stderr is everything else: progress, notes, errors. Commands that list
or show take `-o table|json|name` and `-q` (ids only). Tables are for people and may change; JSON
only grows. `NO_COLOR`, or an output that is no terminal, means no colour and no spinner.

**JSON.** A listing is an array of objects, `show` one object. A VM has the fields `id name state
reason image_id image_name kernel_id vcpu memory_mib disk_bytes overlay_bytes network address nat
workspace created_at`, and, as found at this moment, `access` (null, or how ssh reaches it: `host
port key known_hosts alias control`), `pid`, `boot_id`, `accel`, `ports`, `console_log`. Images and
kernels have the fields of their manifests. Verbs that take several VMs print an array with `ref`
and `ok` for each, then `id` and `name`, or `error`. `vm stats`, `vm ports`, `vm health` and `ops`
print what [protocol.md](protocol.md) has for them: `VmStats`, `Port` (with `id` and `vm`, whose it
is, and `name`, where it is reached), `Health`, `Operation`.

**Errors** are two lines on stderr, `error: …` and `hint: …`. With `-o json` they are one object
per line on stderr, `{"error": {"code", "message", "hint", "details"}}`; the codes are listed in
[protocol.md](protocol.md), section 6. There is never a traceback; what is a bug of banger's own is
written to `cli.log` in the state directory.

**Exit status.** The guest command's own for `vm run`, `vm exec` and `vm ssh` (128+N when signal N
ended it; 255 also when ssh itself failed). Otherwise 0, or

| status | meaning |
| --- | --- |
| 1 | anything not below, and `doctor` with a FAIL, `vm health` with a failed check |
| 2 | usage: a word or a value that cannot be accepted |
| 3 | not found, or a prefix of several |
| 4 | conflict: exists already, or in the wrong state |
| 5 | the VM is not running |
| 6 | unavailable: services down or busy |
| 7 | timed out, also a command that `vm run --timeout` ended |
| 130, 143, 129 | ended by Ctrl-C, SIGTERM, SIGHUP |

**References.** A VM is meant by its exact id or name, else by the beginning of either when only
one begins so.

**Sizes** are written `512M`, `2G` or `8GiB`, in powers of 1024. A bare number is accepted for
memory and means MiB.

**Services** are started by the first command that needs them. `version`, `completion`, `doctor`,
`daemon status`, `daemon stop`, `daemon logs` and every `--help` never start them.

**Ctrl-C** while a VM is created, an image built, or while a verb is at work on several VMs cancels
that; of several VMs those that were done already are printed. While a command runs in a guest
without a terminal it is passed on to that command, and banger waits for its end; the third one
gives up waiting. With a terminal it reaches the guest as a key.
"""


def page() -> str:
    """The whole page."""
    context = click.Context(banger, info_name="banger")
    return "\n".join([PREFACE, *_sections(banger, context, 2)]).rstrip() + "\n"


def _sections(command: click.Command, context: click.Context, depth: int) -> Iterator[str]:
    yield f"{'#' * depth} `{context.command_path}`\n"
    yield from _body(command, context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None:
                below = click.Context(child, info_name=name, parent=context)
                yield from _sections(child, below, min(depth + 1, 4))


def _body(command: click.Command, context: click.Context) -> Iterator[str]:
    text, _, examples = inspect.cleandoc(command.help or "").partition("\b\n")
    yield text.strip() + "\n"
    if not isinstance(command, click.Group):
        usage = " ".join(command.collect_usage_pieces(context))
        yield f"Usage: `{context.command_path} {usage}`\n"
    yield from _options(command, context)
    _, _, lines = examples.partition("\n")
    if lines:
        yield f"```sh\n{inspect.cleandoc(lines)}\n```\n"


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    options = [option for option in command.params if isinstance(option, click.Option)]
    records = [record for option in options if (record := option.get_help_record(context))]
    if records:
        yield "| option | |\n| --- | --- |"
        for names, text in records:
            yield "| `{}` | {} |".format(names.replace("|", "\\|"), text)
        yield ""


if __name__ == "__main__":
    PAGE.write_text(page())
