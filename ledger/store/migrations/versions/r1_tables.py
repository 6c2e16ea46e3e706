"""The roles, and the tables of outcomes and facts."""

from ledger.store.migrating import apply, apply_as_owner

revision = "1"
down_revision = None


def upgrade() -> None:
    """Make the roles and the tables."""
    apply("r1_roles.sql")
    apply_as_owner("r1_tables.up.sql")


def downgrade() -> None:
    """Drop the tables, and the roles where no other database of the server needs them."""
    apply_as_owner("r1_tables.down.sql")
    apply("r1_roles.down.sql")
