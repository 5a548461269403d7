"""Messages are data: the command line has their fields and never their classes."""

from importlib import import_module

import msgspec
import pytest

MODULES = ("guest_run", "image", "image_work", "machine", "network", "operation", "snapshot", "vm")
STRUCTS = [
    kind
    for name in MODULES
    for kind in vars(import_module(f"shared.contract.messages.{name}")).values()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
]


@pytest.mark.parametrize("kind", STRUCTS, ids=lambda kind: kind.__name__)
def test_a_message_has_fields_and_no_methods(kind: type[msgspec.Struct]) -> None:
    own = {name for name, value in vars(kind).items() if callable(value)}
    assert own <= {"__init__", "__new__"}


@pytest.mark.parametrize("kind", STRUCTS, ids=lambda kind: kind.__name__)
def test_no_field_hides_behind_a_method_of_a_map(kind: type[msgspec.Struct]) -> None:
    """The command line reads ``result.field`` of a map: see ``shared.bus.record``."""
    assert not set(kind.__struct_fields__) & set(dir(dict))
