"""What default management tells: whole portfolios on offer, the waterfall's layers, breakers, members in default."""

from ledger.store.migrating import apply_as_owner

revision = "5"
down_revision = "4"


def upgrade() -> None:
    """Make the tables, name the new numbers, and say who reads them."""
    apply_as_owner("r5_default.up.sql")


def downgrade() -> None:
    """Drop them and forget the names; rows that carry the numbers stay."""
    apply_as_owner("r5_default.down.sql")
