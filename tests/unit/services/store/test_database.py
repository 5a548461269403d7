"""Opening the database: where, how safe, and which schemas are accepted."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.exc import DatabaseError

from services.store.database import HEAD, MIGRATIONS, current_revision, migrate, open_database
from services.store.queries import Store
from services.store.tables.models import Base
from shared.contract.publication import show_publication
from shared.errors import BangerError, Code
from tests.unit.services.store.requests import reservation


def test_new_database_is_made_private_with_the_current_schema(tmp_path: Path) -> None:
    path = tmp_path / "state" / "banger.db"
    engine = open_database("", path)
    assert current_revision(engine) == HEAD
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert Store(engine).rows().seq == 0
    engine.dispose()


def test_url_decides_where_the_database_is(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/elsewhere.db", tmp_path / "never.db")
    assert (tmp_path / "elsewhere.db").exists()
    assert not (tmp_path / "never.db").exists()
    engine.dispose()


def move(engine: Engine, revision: str, way: Callable[..., None] = command.upgrade) -> None:
    """Bring the schema to a revision, up or down."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        way(config, revision)


@pytest.fixture
def migrated(tmp_path: Path) -> Iterator[Engine]:
    """What all migrations one after another have made of an empty database."""
    engine = create_engine(f"sqlite:///{tmp_path}/migrated.db")
    migrate(engine, None)
    yield engine
    engine.dispose()


def test_migrations_make_the_schema_of_the_models(migrated: Engine) -> None:
    with migrated.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    assert current_revision(migrated) == HEAD
    assert Store(migrated).rows().seq == 0


def test_a_new_database_has_what_the_migrations_make(engine: Engine, migrated: Engine) -> None:
    def columns(of: Engine) -> dict[str, set[tuple[str, str, bool]]]:
        look = inspect(of)
        return {
            table: {(c["name"], str(c["type"]), c["nullable"]) for c in look.get_columns(table)}
            for table in look.get_table_names()
        }

    assert columns(engine) == columns(migrated)
    made = [inspect(of).get_unique_constraints("vm") for of in (engine, migrated)]
    assert [{tuple(c["column_names"]) for c in constraints} for constraints in made] == [
        {("name",), ("network", "address")}
    ] * 2


def test_a_creation_that_was_cut_short_is_completed(tmp_path: Path) -> None:
    cut = create_engine(f"sqlite:///{tmp_path}/cut.db")
    Base.metadata.create_all(cut)
    cut.dispose()
    engine = open_database(f"sqlite:///{tmp_path}/cut.db", tmp_path / "never.db")
    assert current_revision(engine) == HEAD
    assert Store(engine).rows().seq == 0
    engine.dispose()


def columns_of_vm(engine: Engine) -> set[str]:
    return {column["name"] for column in inspect(engine).get_columns("vm")}


def test_a_migration_that_fails_half_way_leaves_the_schema_as_it_was(tmp_path: Path) -> None:
    """As a crash does between its statements."""
    engine = create_engine(f"sqlite:///{tmp_path}/torn.db")
    move(engine, "0003")
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE vm ADD COLUMN publish JSON"))
    before = columns_of_vm(engine)
    with pytest.raises(DatabaseError, match="duplicate column name: publish"):
        migrate(engine, "0003")
    assert (columns_of_vm(engine), current_revision(engine)) == (before, "0003")
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE vm DROP COLUMN publish"))
    migrate(engine, "0003")
    assert current_revision(engine) == HEAD
    engine.dispose()


OLD_ROWS = (
    ("aa", "web", "running", "", 4, 2048, 1 << 40, True, "qemu", '["db.vm:5432"]'),
    ("bb", "db", "failed", "it broke", 1, 512, 8 << 30, False, "auto", "[]"),
)
PUBLISHED = (
    '[{"host_port": 8080, "guest_port": 80, "host_address": "127.0.0.1", "protocol": "tcp"}]'
)
INSERT_OLD = """
    INSERT INTO vm VALUES (:id, :name, :state, :reason, 'image', 'debian', 'kernel', :vcpu,
        :memory, :disk, 5, 'user', :address, :nat, '', '2026-11-22T00:00:00Z', '', :vmm, :allow,
        :publish)
"""


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Engine]:
    """A database of revision 0004 with two VMs and the request that made one of them."""
    engine = create_engine(f"sqlite:///{tmp_path}/old.db")
    move(engine, "0004")
    names = ("id", "name", "state", "reason", "vcpu", "memory", "disk", "nat", "vmm", "allow")
    with engine.begin() as connection:
        for number, row in enumerate(OLD_ROWS):
            more = {"address": f"127.77.0.{number + 2}", "publish": PUBLISHED if number else "[]"}
            connection.execute(text(INSERT_OLD), dict(zip(names, row, strict=True)) | more)
        connection.execute(text("INSERT INTO mutation VALUES ('request', 'aa')"))
        connection.execute(text("UPDATE sequence SET seq=7"))
    yield engine
    engine.dispose()


def test_rows_of_the_schema_with_a_column_for_each_field_are_carried_over(old: Engine) -> None:
    migrate(old, "0004")
    rows = Store(old).rows()
    web, db = rows.vms
    assert rows.seq == 7
    assert (web.id, web.name, web.state, web.address) == ("aa", "web", "running", "127.77.0.2")
    assert (web.image_id, web.image_name, web.kernel_id) == ("image", "debian", "kernel")
    assert (web.vcpu, web.memory_mib, web.disk_bytes, web.overlay_bytes) == (4, 2048, 1 << 40, 5)
    assert (web.nat, web.vmm, web.allow, web.publish) == (True, "qemu", ["db.vm:5432"], [])
    assert (db.reason, db.nat, db.vmm) == ("it broke", False, "auto")
    assert [show_publication(each) for each in db.publish] == ["127.0.0.1:8080:80/tcp"]
    again, _ = Store(old).reserve(reservation("other", request_id="request"))
    assert again == web


def test_the_way_back_to_a_column_for_each_field_loses_nothing(old: Engine) -> None:
    def rows() -> list[dict[str, object]]:
        with old.connect() as connection:
            return [dict(row) for row in connection.execute(text("SELECT * FROM vm")).mappings()]

    before = [{**row, "allow": json.loads(str(row["allow"]))} for row in rows()]
    move(old, "0005")
    move(old, "0004", command.downgrade)
    after = [{**row, "allow": json.loads(str(row["allow"]))} for row in rows()]
    for row in (*before, *after):
        row["publish"] = json.loads(str(row["publish"]))
    assert after == before


def test_rows_of_before_do_not_wake(old: Engine) -> None:
    move(old, "0005")
    migrate(old, "0005")
    assert [vm.wakes for vm in Store(old).rows().vms] == [False, False]


def test_head_is_the_last_migration() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_heads() == [HEAD]


@pytest.mark.parametrize(
    ("pragma", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)]
)
def test_acknowledged_change_survives_a_power_cut_by_these_pragmas(
    engine: Engine, pragma: str, value: object
) -> None:
    with engine.connect() as connection:
        assert connection.execute(text(f"PRAGMA {pragma}")).scalar() == value


def test_opening_again_keeps_what_is_there(engine: Engine) -> None:
    Store(engine).reserve(reservation("beta"))
    path = Path(str(engine.url.database))
    engine.dispose()
    again = open_database("", path)
    assert [vm.name for vm in Store(again).rows().vms] == ["beta"]
    again.dispose()


def test_newer_schema_is_refused_and_left_as_it_is(engine: Engine) -> None:
    path = Path(str(engine.url.database))
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num='9999'"))
    engine.dispose()
    with pytest.raises(BangerError) as caught:
        open_database("", path)
    assert caught.value.code is Code.INCOMPATIBLE
    assert "9999" in caught.value.message
    raw = sqlite3.connect(path)
    assert raw.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]
    raw.close()


def test_file_that_is_no_database_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "banger.db").write_bytes(b"not a database" * 500)
    with pytest.raises(BangerError) as caught:
        open_database("", tmp_path / "banger.db")
    assert caught.value.code is Code.UNAVAILABLE
    assert (tmp_path / "banger.db").read_bytes() == b"not a database" * 500


@pytest.mark.parametrize("there", [True, False])
def test_current_and_new_databases_are_opened_without_loading_alembic(
    engine: Engine, tmp_path: Path, there: bool
) -> None:
    path = str(engine.url.database) if there else str(tmp_path / "state" / "new.db")
    program = (
        "import sys; from pathlib import Path; from services.store.database import open_database;"
        "open_database('', Path(sys.argv[1])).dispose(); sys.exit('alembic' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program, path], check=False)
    assert result.returncode == 0
