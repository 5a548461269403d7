"""Every service answers exactly the verbs that the catalogue says, and the document prints it."""

from pathlib import Path
from typing import Any

import pytest

from scripts.protocol_table import section
from services.api.service import GROUPS, Api
from services.api.verbs.operations import OperationVerbs
from services.dns.service import Dns
from services.images.service import GROUPS as IMAGE_GROUPS
from services.images.service import ImagesService
from services.launcher.service import Launcher
from services.nat.service import Nat
from services.store.service import StoreService
from services.vm_supervisor.service import Supervisor
from services.workspaces.service import WorkspacesService
from shared.bus.handlers import handled_verbs
from shared.contract.catalogue import all_verbs

PAGE = Path(__file__).parents[2] / "docs/protocol.md"
HOLDERS: dict[str, tuple[type[Any], ...]] = {
    "launcher": (Launcher,),
    "store": (StoreService,),
    "api": (Api, *GROUPS, OperationVerbs),
    "vm": (Supervisor,),
    "images": (ImagesService, *IMAGE_GROUPS),
    "workspaces": (WorkspacesService,),
    "nat": (Nat,),
    "dns": (Dns,),
}
"""Service -> the classes whose methods handle its verbs. The broker, which is no actor, is tested
in test_core.py."""


@pytest.mark.parametrize("service", HOLDERS)
def test_a_service_handles_what_the_catalogue_says_and_nothing_else(service: str) -> None:
    handled = [verb for holder in HOLDERS[service] for _, verb in handled_verbs(holder)]
    assert sorted(verb.name for verb in handled) == sorted(
        verb.name for verb in all_verbs() if verb.service == service
    )
    assert all(verb in all_verbs() for verb in handled)


def test_every_service_of_the_catalogue_is_looked_at() -> None:
    assert {verb.service for verb in all_verbs()} == {*HOLDERS, "broker"}


def test_the_document_has_the_table_as_it_is_printed() -> None:
    assert PAGE.read_text().endswith(section())
