"""From an empty database to the store's tables, and back: alembic's migrations, run by the program itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import psycopg
from alembic import command, op
from alembic.config import Config
from sqlalchemy import Connection, create_engine, make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from ledger.store.faults import StoreAway

OWNER: Final = "novate_projector"
"""the role that owns every table and writes them"""
REVISION: Final = "6"
"""what the code expects of the tables: the last migration"""
_HERE: Final = Path(__file__).parent / "migrations"
_LOCK_WAIT: Final = "30s"
"""a reader with an open transaction holds its tables: better to say so than to stand in everybody's way"""


def migrate(url: str, to: str = REVISION) -> None:
    """Bring a database's tables up to a revision; one transaction, nothing where it is there already.

    The login must be able to make roles and to own the database (a superuser can). Raises StoreAway.
    """
    _run(url, lambda config: command.upgrade(config, to))


def downgrade(url: str, to: str = "base") -> None:
    """Take tables back down to a revision; `base` leaves nothing, no row either. Raises StoreAway."""

    def down(config: Config) -> None:
        command.downgrade(config, to)
        if to == "base":
            config.attributes["connection"].exec_driver_sql("DROP TABLE alembic_version")

    _run(url, down)


def revision_of(connection: psycopg.Connection[Any]) -> str | None:
    """The revision of a database's tables; None where there are none."""
    found = connection.execute("SELECT to_regclass('alembic_version')").fetchone()
    if found is None or found[0] is None:
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else None


def apply(name: str) -> None:
    """Run a file of SQL inside the migration at hand."""
    raw: Any = op.get_bind().connection.driver_connection
    raw.execute((_HERE / "versions" / name).read_text())


def apply_as_owner(name: str) -> None:
    """The same as the role that shall own what the file makes."""
    raw: Any = op.get_bind().connection.driver_connection
    raw.execute(f"SET LOCAL ROLE {OWNER}")
    apply(name)
    raw.execute("RESET ROLE")


def _run(url: str, what: Any) -> None:
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"SET lock_timeout = '{_LOCK_WAIT}'")
            connection.commit()
            what(_config(connection))
            connection.commit()
    except (OperationalError, psycopg.OperationalError) as error:
        raise StoreAway(str(error)) from error
    finally:
        engine.dispose()


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_HERE).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
