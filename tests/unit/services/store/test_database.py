"""Opening the database: where, how safe, and which schemas are accepted."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.exc import DatabaseError

from services.store.database import HEAD, MIGRATIONS, current_revision, migrate, open_database
from services.store.models import Base
from services.store.queries import Store
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


def test_a_migration_that_fails_half_way_leaves_the_schema_as_it_was(migrated: Engine) -> None:
    """As a crash does between its statements."""
    with migrated.begin() as connection:
        connection.execute(text("ALTER TABLE vm DROP COLUMN allow"))
        connection.execute(text("UPDATE alembic_version SET version_num='0003'"))
    before = columns_of_vm(migrated)
    with pytest.raises(DatabaseError, match="duplicate column name: publish"):
        migrate(migrated, "0003")
    assert (columns_of_vm(migrated), current_revision(migrated)) == (before, "0003")
    with migrated.begin() as connection:
        connection.execute(text("ALTER TABLE vm DROP COLUMN publish"))
    migrate(migrated, "0003")
    assert columns_of_vm(migrated) == {*before, "allow"}
    assert current_revision(migrated) == HEAD


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
