"""``--egress`` and its short forms as fields of a request."""

import click
import pytest

from cli.commands.vm.options.egress_option import egress_fields
from shared.contract.egress import Egress

LIST = Egress(allow=("example.org",))


@pytest.mark.parametrize(
    ("egress", "nat", "fields"),
    [
        (None, None, {}),
        (None, True, {"nat": True}),
        (None, False, {"nat": False}),
        (Egress(nat=True), None, {"nat": True, "allow": []}),
        (Egress(nat=True), True, {"nat": True, "allow": []}),
        (Egress(), False, {"nat": False, "allow": []}),
        (LIST, None, {"nat": False, "allow": ["example.org"]}),
    ],
)
def test_only_what_was_said_is_sent(
    egress: Egress | None, nat: bool | None, fields: dict[str, object]
) -> None:
    assert egress_fields(egress, nat) == fields


@pytest.mark.parametrize(
    ("egress", "nat", "flag"),
    [(Egress(), True, "--nat"), (LIST, True, "--nat"), (Egress(nat=True), False, "--no-nat")],
)
def test_what_contradicts_itself_is_refused(egress: Egress, nat: bool, flag: str) -> None:
    with (
        click.Context(click.Command("set")),
        pytest.raises(click.UsageError, match=rf"^{flag} means .* conflicts with --egress"),
    ):
        egress_fields(egress, nat)
