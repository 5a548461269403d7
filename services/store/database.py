"""Opening the database: location, pragmas, and a schema that is made or brought up to date."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    insert,
    inspect,
    make_url,
    select,
    text,
)
from sqlalchemy.exc import DatabaseError, IntegrityError

from services.store.tables.models import Base, SequenceRow
from shared.errors import BangerError, Code
from shared.paths import close_to_others

HEAD = "0006"
"""The revision this program needs. A new database is made from the models and one that has it
already is used as it is: alembic (0.1 s of imports) is loaded for an older one only."""
MIGRATIONS = Path(__file__).parent / "migrations"


def open_database(url: str, default: Path) -> Engine:
    """An engine on ``url``, or on SQLite at ``default`` when it is empty, with the schema at HEAD.

    Raises:
        BangerError: ``incompatible`` when the database is newer than this program; ``no_space``,
            ``busy`` or ``unavailable`` when it cannot be used.
    """
    if not url:
        close_to_others(default.parent)
    engine = create_engine(url or f"sqlite:///{default}")
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_pragmas)
    with complaints():
        revision = current_revision(engine)
        if revision is None:
            _create(engine)
        elif revision != HEAD:
            migrate(engine, revision)
    return engine


def lock_file(url: str, default: Path) -> Path | None:
    """The lock that a store holds while it has the database open, beside the database itself:
    whatever starts a second store, and wherever its sockets are, it does not get this database.

    None for a database that is no file.
    """
    file = str(default)
    if url:
        parsed = make_url(url)
        if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
            return None
        file = str(parsed.database)
    real = Path(file).resolve()
    return real.with_name(f"{real.name}.lock")


@contextmanager
def complaints() -> Iterator[None]:
    """Turn what the database complains about into our errors; a broken constraint is the query's.

    Raises:
        BangerError: ``no_space``, ``busy`` or ``unavailable``.
    """
    try:
        yield
    except IntegrityError:
        raise
    except DatabaseError as error:
        raise _complaint(str(error.orig)) from error


def _complaint(text: str) -> BangerError:
    if "full" in text:
        return BangerError(
            Code.NO_SPACE,
            "the disk that holds the database is full",
            hint="free some space; nothing was changed",
        )
    if "locked" in text:
        return BangerError(Code.BUSY, "the database is locked by another program")
    return BangerError(Code.UNAVAILABLE, f"the database cannot be used: {text}")


def _set_pragmas(connection: Any, _record: Any) -> None:
    """WAL lets readers pass writers; FULL makes an acknowledged change survive a power cut."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout=2000")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def current_revision(engine: Engine) -> str | None:
    """The schema's revision as alembic keeps it, None for an empty database."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _create(engine: Engine) -> None:
    """All tables, and last the revision: a crash before it leaves what the next start completes."""
    version = Table(
        "alembic_version", MetaData(), Column("version_num", String(32), primary_key=True)
    )
    with engine.begin() as connection:
        Base.metadata.create_all(connection)
        if connection.execute(select(SequenceRow.id)).first() is None:
            connection.execute(insert(SequenceRow).values(id=1, seq=0))
        version.create(connection, checkfirst=True)
        connection.execute(version.insert().values(version_num=HEAD))


def migrate(engine: Engine, revision: str | None) -> None:
    """From ``revision`` (None: an empty database) to HEAD. Raises ``incompatible``."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and revision not in known:
        raise BangerError(
            Code.INCOMPATIBLE,
            f"the database has schema {revision}, newer than this program's {HEAD}",
            hint="use the newer banger, or move the database away to start with an empty one",
        )
    with _one_transaction(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def _one_transaction(engine: Engine) -> Iterator[Connection]:
    """All or nothing, also for statements that change the schema: before those, Python's sqlite3
    begins no transaction, and a crash would leave a schema that no revision names."""
    with engine.connect() as connection:
        if engine.dialect.name != "sqlite":
            with connection.begin():
                yield connection
            return
        driver: Any = connection.connection.dbapi_connection
        before, driver.isolation_level = driver.isolation_level, None
        try:
            with connection.begin():
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection
        finally:
            driver.isolation_level = before
