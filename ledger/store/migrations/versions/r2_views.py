"""The book as of an entry or a time, and views in whole units with the names of things."""

from ledger.store.migrating import apply_as_owner

revision = "2"
down_revision = "1"


def upgrade() -> None:
    """Make the views and functions."""
    apply_as_owner("r2_views.up.sql")


def downgrade() -> None:
    """Drop them."""
    apply_as_owner("r2_views.down.sql")
