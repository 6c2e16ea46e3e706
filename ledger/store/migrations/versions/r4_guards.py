"""Names of the parameters and reasons that came with the guards of several feeds, ages and pegs."""

from ledger.store.migrating import apply_as_owner

revision = "4"
down_revision = "3"


def upgrade() -> None:
    """Name the new numbers."""
    apply_as_owner("r4_guards.up.sql")


def downgrade() -> None:
    """Forget their names; rows that carry the numbers stay."""
    apply_as_owner("r4_guards.down.sql")
