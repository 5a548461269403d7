"""A key is the same for the same guest, and another one for any other."""

import pytest

from services.api.templates.key import FileFact, TemplateFacts, key_of
from tests.unit.services.api.templates.facts import FACTS, facts


def test_a_key_is_stable() -> None:
    assert key_of(FACTS) == key_of(facts()) == "e88441c6e8fe4665"


@pytest.mark.parametrize("field", TemplateFacts.__struct_fields__)
def test_every_fact_is_part_of_it(field: str) -> None:
    before = getattr(FACTS, field)
    match before:
        case int():
            other: object = before + 1
        case str():
            other = f"{before}x"
        case _:
            other = [FileFact(name="vmlinux", bytes=1, modified_ns=3)]
    assert key_of(facts(**{field: other})) != key_of(FACTS)
