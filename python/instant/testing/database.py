"""The triggers in a test database."""

from django.db import DEFAULT_DB_ALIAS, connections

from instant.testing import binary


def apply(using: str = DEFAULT_DB_ALIAS, *, database: str | None = None) -> None:
    """Install what ``instant.toml`` requires in the database that Django uses now; what is there already stays.

    Call it once the database is created and migrated, and before the first test's transaction: a trigger cannot be created on a table
    that the transaction has written to.

    :param database: Another database on the same server, such as a clone for parallel tests.
    :raises ImproperlyConfigured: the binary is missing, or rejects the configuration; includes its output.
    """
    binary.run("apply", using=using, database=database)


def is_applied(using: str) -> bool:
    """Whether the database has Instant's tables."""
    with connections[using].cursor() as cursor:
        cursor.execute("select to_regclass('instant.outbox') is not null")
        return bool(cursor.fetchone()[0])
