"""Accounts that are closed when others have paid their deficit, and what has been named since."""

from ledger.store.migrating import apply_as_owner

revision = "6"
down_revision = "5"


def upgrade() -> None:
    """Name the new numbers; a closed account is called for nothing any more."""
    apply_as_owner("r6_closed.up.sql")


def downgrade() -> None:
    """Forget the names and bring the view back; rows that carry the numbers stay."""
    apply_as_owner("r6_closed.down.sql")
