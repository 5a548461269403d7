"""The table of verbs in docs/protocol.md, held against the marks in the code."""

import re
from pathlib import Path
from typing import get_type_hints

from services.api.service import Api
from services.dns.service import Dns
from services.images.service import ImagesService
from services.launcher.service import Launcher
from services.nat.service import Nat
from services.store.service import StoreService
from services.vm_supervisor.service import Supervisor
from shared.bus.actor import Actor
from shared.bus.verbs import collect_verbs

PAGE = Path(__file__).parents[2] / "docs/protocol.md"
SERVICES: dict[str, type[Actor]] = {
    "launcher": Launcher,
    "store": StoreService,
    "api": Api,
    "vm:ID": Supervisor,
    "images": ImagesService,
    "nat": Nat,
    "dns": Dns,
}
Signature = tuple[str, str]
"""Names of the structs of arguments and result."""

_ROW = re.compile(r"\| (?P<service>[\w:]+) \| (?P<verbs>`[^|]+`) \| (?P<types>[^|]+) \|")
_TYPES = re.compile(r"(\{\}|\w+) → (\{\}|\w+)")


def written() -> dict[tuple[str, str], Signature | None]:
    """(service, verb) → its types in the table; the broker, which is no actor, left out."""
    table = PAGE.read_text().partition("## 7. Verbs")[2]
    found: dict[tuple[str, str], Signature | None] = {}
    for row in _ROW.finditer(table):
        types = _TYPES.match(row["types"])
        for name in re.findall(r"`([^`]+)`", row["verbs"]):
            assert (row["service"], name) not in found, f"{name} is there twice"
            found[row["service"], name] = (types[1], types[2]) if types else None
    return {key: types for key, types in found.items() if key[0] != "broker"}


def marked() -> dict[tuple[str, str], Signature]:
    """(service, verb) → its types as the handler has them."""

    def name(kind: type[object]) -> str:
        return "{}" if kind.__name__ in ("Nothing", "NoneType") else kind.__name__

    return {
        (service, verb.name): (name(verb.request), name(get_type_hints(verb.handler)["return"]))
        for service, actor in SERVICES.items()
        for verb in collect_verbs(actor).values()
    }


def test_every_verb_is_in_the_table_with_its_types() -> None:
    assert written() == marked()
