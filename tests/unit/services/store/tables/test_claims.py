"""What one VM has and another one wants."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from services.store.queries import Store
from services.store.tables.claims import check_name, check_ports, free_address, free_name
from services.store.tables.models import VmRow
from shared.contract.messages.vm import Publication
from shared.errors import BangerError, Code
from tests.unit.services.store.requests import reservation


def port(number: int, **more: str) -> Publication:
    return Publication(host_port=number, guest_port=80, **more)  # type: ignore[arg-type]


@pytest.fixture
def session(store: Store, engine: Engine) -> Iterator[Session]:
    """On a database in which ``web`` publishes port 8080 everywhere and ``db`` nothing."""
    store.reserve(reservation("web", publish=[port(8080, host_address="0.0.0.0")]))
    store.reserve(reservation("db"))
    with Session(engine) as session:
        yield session


def test_first_free_name_is_given(session: Session) -> None:
    assert free_name(session, ["web", "db", "new", "newer"]) == "new"
    for taken in (["web"], ["db", "web"], []):
        with pytest.raises(BangerError) as refused:
            free_name(session, taken)
        assert refused.value.code is Code.CONFLICT


def test_name_is_free_for_the_vm_that_has_it(session: Session) -> None:
    check_name(session, "new")
    check_name(session, "web", own="id-web")
    with pytest.raises(BangerError, match="'web' already exists"):
        check_name(session, "web", own="id-db")


@pytest.mark.parametrize("wanted", [port(8080), port(8080, host_address="127.0.0.2")])
def test_vm_that_publishes_a_port_is_named(session: Session, wanted: Publication) -> None:
    with pytest.raises(BangerError) as refused:
        check_ports(session, [port(8081), wanted], session.get(VmRow, "id-db"))
    assert refused.value.details == {"vm": "web"}
    check_ports(session, [wanted], session.get(VmRow, "id-web"))


def test_vm_that_would_publish_a_port_twice_is_named_itself(session: Session) -> None:
    twice = [port(8081), port(8081, host_address="0.0.0.0")]
    with pytest.raises(BangerError) as refused:
        check_ports(session, twice, session.get(VmRow, "id-db"))
    assert refused.value.details == {"vm": "db"}


def test_other_ports_and_protocols_are_free(session: Session) -> None:
    check_ports(session, [port(8081), port(8080, protocol="udp")])
    check_ports(session, [])


def test_lowest_free_address_is_given(session: Session) -> None:
    assert free_address(session, "user", "127.77.0.0/16") == "127.77.0.4"
    assert free_address(session, "bridge", "127.77.0.0/16") == "127.77.0.2"
