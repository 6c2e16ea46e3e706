"""Who may read what: row-level security, and the table of members' logins."""

from ledger.store.migrating import apply_as_owner

revision = "3"
down_revision = "2"


def upgrade() -> None:
    """Close every table, then open to each role what is its own."""
    apply_as_owner("r3_access.up.sql")


def downgrade() -> None:
    """Take the rights and the policies away: the owner alone reads what is left."""
    apply_as_owner("r3_access.down.sql")
