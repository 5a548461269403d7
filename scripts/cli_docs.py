"""Write docs/cli.md from the commands themselves: ``python scripts/cli_docs.py``."""

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import click  # noqa: E402

from cli.app import banger  # noqa: E402
from shared.contract.messages.image import Image, Kernel  # noqa: E402
from shared.contract.messages.operation import Operation, ServiceStatus  # noqa: E402
from shared.contract.messages.template import Template  # noqa: E402
from shared.contract.messages.vm import Check, Health, Port, Publication, Vm, VmStats, VmView  # noqa: E402  # noqa: E402
from shared.contract.ssh_access import Access  # noqa: E402
from shared.vmm.info import Finding  # noqa: E402

PAGE = ROOT / "docs" / "cli.md"

PREFACE = """\
# The `banger` command

Printed from the commands by `scripts/cli_docs.py`. Change the commands, not this page.

## All commands

**Output.** Data goes to stdout; progress, notes and errors go to stderr. Commands that list or show
take `-o table|json|name` and `-q` (ids only). Tables are for people and may change; to JSON, fields
are only added. With `NO_COLOR`, or when the output is not a terminal, there is no colour and no
spinner.

**JSON.** Commands that list, `doctor`, and those that report on several VMs (`vm stats`,
`vm ports`, `vm health`) print an array of objects. `show` prints one object, `daemon status` the
object `{running, services}`. Commands that act on several VMs, images or kernels print an array
with `ref` and `ok` for each, then `id` and `name`, or `error`. The fields are listed in
[the last section](#fields-of-the-json-output).

**Errors** are two lines on stderr, `error: …` and `hint: …`. With `-o json` they are one object
per line on stderr, `{"error": {"code", "message", "hint", "details"}}`; the codes are listed in
[protocol.md](protocol.md), section 6. A traceback is never printed; that of a bug in banger is
written to `cli.log` in the state directory.

**Exit status.** `vm run`, `vm exec` and `vm ssh` exit with the status of the guest's command (128+N
when signal N ended it, 126 or 127 when it could not be executed or found, as in a shell). They exit
with 125, and an error that names the VM and what happened, when the VM or the connection to it
ended under the command. Otherwise the status is 0, or

| status | meaning |
| --- | --- |
| 1 | any other failure; `doctor` with a FAIL; `vm health` with a failed check |
| 2 | usage: an argument or a value is not accepted |
| 3 | not found, or an ambiguous prefix |
| 4 | conflict: it already exists, or is in the wrong state |
| 5 | the VM is not running |
| 6 | unavailable: a service is down or busy, or a registry or mirror does not deliver |
| 7 | timed out; also a command that `vm run --timeout` terminated |
| 125 | the VM or the connection ended under a command in the guest (code `lost`) |
| 130, 143, 129 | interrupted by Ctrl-C, SIGTERM, SIGHUP |

**References.** A VM, image, kernel or operation is named by its exact name or id, or by a unique
prefix of either. An exact name wins over an id, and both over a prefix. A name must not have the
form of an id. `id=ID` means an exact id and nothing else. `vm delete` and `vm kill` take no prefix
of a name.

**Sizes** are written `512M`, `2G` or `8GiB`, in powers of 1024. A bare number is accepted for
memory and means MiB.

**Services** are started by the first command that needs them. `version`, `completion`, `doctor`,
`daemon status`, `daemon stop`, `daemon logs` and `--help` never start them.

**Ctrl-C** cancels the creation of a VM, the build of an image, or an action on several VMs; of
several VMs, those that are done already are printed. While a command runs in a guest without a
terminal, Ctrl-C is passed on to that command and banger waits for its end; the third Ctrl-C stops
waiting. A guest that does not answer is not waited for: the command ends within two seconds of a
SIGTERM, SIGHUP or Ctrl-C. With a terminal, Ctrl-C reaches the guest as a key.
"""


FIELDS_PREFACE = """\
## Fields of the JSON output

Fields are added, never removed or given another meaning. Sizes are in bytes unless the name says
MiB, times of day in RFC 3339, durations in seconds. `shared/contract/messages` says what the fields
mean; [protocol.md](protocol.md) describes the messages between services.
"""

JSON: tuple[tuple[str, str, tuple[type[Any], ...], dict[str, Any]], ...] = (
    ("VM", "`vm list`, `ps`, `show`, `create`. `access` and the fields after it are the present "
     "state.", (Vm, VmView), {}),
    ("Access", "How ssh reaches a VM.", (Access,), {}),
    ("Publication", "A published port. `vm publish` and `unpublish` add `id` and `vm`, the VM, and "
     "`name`, the address on the host.", (Publication,), {}),
    ("VmStats", "`vm stats`. Fields that need a running VMM are null without one.", (VmStats,), {}),
    ("Port", "`vm ports`. `id` and `vm` are the VM, `name` is the address on the host, or empty.",
     (Port,), {"id": str, "vm": str, "name": str}),
    ("Health", "`vm health`.", (Health,), {}),
    ("Check", "One line of a VM's health.", (Check,), {}),
    ("Operation", "`ops`. `name` is the subject, or the id without one.", (Operation,),
     {"name": str}),
    ("Image", "`image list`, `show`, `build`.", (Image,), {}),
    ("Kernel", "`kernel list`, `show`, `pull`.", (Kernel,), {}),
    ("Template", "`template list`, `show`.", (Template,), {}),
    ("ServiceStatus", "Each of `services` of `daemon status`.", (ServiceStatus,), {}),
    ("Finding", "`doctor`.", (Finding,), {}),
)  # fmt: skip
"""Title, which commands print it, its structs, and fields that the command adds."""

SCALARS: dict[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    NoneType: "null",
}


def page() -> str:
    """The whole page."""
    context = click.Context(banger, info_name="banger")
    return "\n".join([PREFACE, *_sections(banger, context, 2), *_json_fields()]).rstrip() + "\n"


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
    text, *blocks = inspect.cleandoc(command.help or "").split("\b\n")
    yield text.strip() + "\n"
    if not isinstance(command, click.Group):
        usage = " ".join(command.collect_usage_pieces(context))
        yield f"Usage: `{context.command_path} {usage}`\n"
    yield from _options(command, context)
    for block in blocks:
        title, _, lines = block.partition("\n")
        language = "sh" if title.startswith("Example") else "text"
        if language == "text":
            yield title + "\n"
        yield f"```{language}\n{inspect.cleandoc(lines)}\n```\n"


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    options = [option for option in command.params if isinstance(option, click.Option)]
    records = [record for option in options if (record := option.get_help_record(context))]
    if records:
        yield "| option | |\n| --- | --- |"
        for names, text in records:
            yield "| `{}` | {} |".format(names.replace("|", "\\|"), text)
        yield ""


def _json_fields() -> Iterator[str]:
    yield FIELDS_PREFACE
    for title, printed_by, kinds, extra in JSON:
        yield f"### {title}\n\n{printed_by}\n\n| field | type |\n| --- | --- |"
        hints = {name: hint for kind in kinds for name, hint in get_type_hints(kind).items()}
        hints.pop("vm", None)  # of a VmView: its fields stand beside the others
        for name, hint in (hints | extra).items():
            yield f"| `{name}` | {_in_json(hint)} |"
        yield ""


def _in_json(hint: Any) -> str:
    """A type as a reader of JSON knows it."""
    if hint in SCALARS:
        return SCALARS[hint]
    inner = get_args(hint)
    match get_origin(hint):
        case None:
            return str(hint.__name__)
        case origin if origin is Literal:
            return " ".join(f"`{value}`" for value in inner)
        case origin if origin is list:
            return f"array of {_in_json(inner[0])}"
        case origin if origin is dict:
            return f"object of {_in_json(inner[1])}"
        case _:
            return " or ".join(_in_json(each) for each in inner)


if __name__ == "__main__":
    PAGE.write_text(page())
