"""Run by alembic: migrate over the connection that ``database.open_database`` hands in."""

from alembic import context

from services.store.tables.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,  # the caller has begun a transaction
    render_as_batch=True,  # SQLite cannot ALTER most things in place
)
with context.begin_transaction():
    context.run_migrations()
