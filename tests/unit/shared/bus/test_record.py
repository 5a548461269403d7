"""Results as the command line reads them."""

import json

import msgspec
import pytest

from shared.bus.envelope import final_ok, read_final
from shared.bus.record import Record


def test_fields_of_nested_maps_are_attributes() -> None:
    result = read_final(final_ok({"vms": [{"vm": {"name": "web"}}]}), Record)
    assert isinstance(result, Record)
    assert result.vms[0].vm.name == "web"


def test_a_map_is_still_a_map() -> None:
    result = Record(ports={"tcp/80": 8080})
    assert json.loads(json.dumps(result)) == {"ports": {"tcp/80": 8080}}
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(result)) == {"ports": {"tcp/80": 8080}}


def test_a_field_that_is_not_there_is_named() -> None:
    with pytest.raises(AttributeError, match="no field 'nam'"):
        _ = Record(name="web").nam
