"""What --wait takes."""

import click
import pytest
from click.testing import CliRunner

from cli.commands.vm.options.wait_option import wait_option


@click.command()
@wait_option
def waiting(wait: str) -> None:
    click.echo(wait)


@pytest.mark.parametrize(("arguments", "waited"), [([], "ready"), (["--wait", "system"], "system")])
def test_a_start_waits_for_the_guest_or_for_its_system(arguments: list[str], waited: str) -> None:
    assert CliRunner().invoke(waiting, arguments).output == f"{waited}\n"


def test_anything_else_is_refused() -> None:
    assert CliRunner().invoke(waiting, ["--wait", "network"]).exit_code == 2
