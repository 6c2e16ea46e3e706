"""What alembic runs a migration in: the connection that `ledger.store.migrating` opened, all of it one transaction."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
