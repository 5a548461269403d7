"""Opening the database: where, how safe, and which schemas are accepted."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from services.store.database import HEAD, MIGRATIONS, current_revision, open_database
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


def test_migrations_make_the_schema_of_the_models(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


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


def test_current_schema_opens_without_loading_alembic(engine: Engine) -> None:
    path = str(engine.url.database)
    program = (
        "import sys; from pathlib import Path; from services.store.database import open_database;"
        "open_database('', Path(sys.argv[1])).dispose(); sys.exit('alembic' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program, path], check=False)
    assert result.returncode == 0
