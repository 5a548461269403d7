"""``banger doctor``: is everything there that is needed? Looks, and changes nothing."""

import sys

import click

from cli.terminal.output import colour, print_json, print_table

COLOURS = {"PASS": "green", "WARN": "yellow", "FAIL": "red"}


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    help="Form of the output.",
)
def doctor(output: str) -> int:
    """Check this machine; exit with 1 when something fails.

    It starts no service and creates nothing; only the test of KVM runs a guest for a moment.

    \b
    Examples:
      banger doctor
      banger doctor -o json | jq '.[] | select(.status != "PASS")'
    """
    from cli.doctor.run import run_checks
    from shared.paths import Paths

    results = run_checks(Paths.from_environment())
    if output == "json":
        print_json([result.as_dict() for result in results])
    else:
        print_table(
            ("STATUS", "CHECK", "FOUND"),
            [(result.status, result.name, result.found) for result in results],
        )
        for result in results:
            if result.hint:
                click.echo(f"{_coloured(result.status)} {result.name}: {result.hint}", err=True)
    return 1 if any(result.status == "FAIL" for result in results) else 0


def _coloured(status: str) -> str:
    return click.style(status, fg=COLOURS[status]) if colour(sys.stderr) else status
