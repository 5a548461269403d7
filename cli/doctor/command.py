"""``banger doctor``: checks the machine and changes nothing."""

import sys
from dataclasses import asdict

import click

from cli.terminal.output import colour, print_json, print_table
from shared.plain_text import printable

COLOURS = {"PASS": "green", "WARN": "yellow", "FAIL": "red"}


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    help="Output format.",
)
def doctor(output: str) -> int:
    """Check whether this machine can run VMs. Exits with 1 if a check fails.

    Starts no service and creates no files. To test KVM, a guest is booted for a moment.

    \b
    Examples:
      banger doctor
      banger doctor -o json | jq '.[] | select(.status != "PASS")'
    """
    from cli.doctor.run import run_checks
    from shared.paths import Paths

    results = run_checks(Paths.from_environment())
    if output == "json":
        print_json([asdict(result) for result in results])
    else:
        print_table(
            ("STATUS", "CHECK", "FOUND"),
            [(result.status, result.name, result.found) for result in results],
        )
        for result in results:
            if result.hint:
                hint = printable(result.hint)
                click.echo(f"{_coloured(result.status)} {result.name}: {hint}", err=True)
    return 1 if any(result.status == "FAIL" for result in results) else 0


def _coloured(status: str) -> str:
    return click.style(status, fg=COLOURS[status]) if colour(sys.stderr) else status
