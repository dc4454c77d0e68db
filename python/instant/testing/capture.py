"""The events that the changes of a block would be published as."""

from types import TracebackType
from typing import Any

from asgiref.sync import sync_to_async
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, connections

from instant.testing.database import is_applied
from instant.testing.events import Events
from instant.testing.renderer import renderer

#: The changes of a block, in order: those of its own transaction, and those that others have committed meanwhile.
CHANGES = """
    select id, to_json(at at time zone 'UTC') #>> '{}' || 'Z', source, op::text, old::text, new::text
    from instant.outbox
    where id > %s
    order by id
"""


class capture_events:  # noqa: N801
    """Collect the events that the changes of a block would be published as, whether or not they are ever committed.

    ``with capture_events() as events:`` fills ``events`` when the block ends; ``async with`` does the same in async code. Changes
    that are rolled back inside the block are not included.
    """

    def __init__(self, using: str = DEFAULT_DB_ALIAS) -> None:
        """Collect from the database with this alias."""
        self.using = using
        self._events = Events()
        self._last = 0

    def __enter__(self) -> Events:
        """Record where the outbox ends.

        :raises ImproperlyConfigured: the database has no triggers.
        """
        if not is_applied(self.using):
            raise ImproperlyConfigured(
                f"the database {self.using!r} does not have Instant's triggers: set TEST_RUNNER to "
                "'instant.testing.DiscoverRunner', or call instant.testing.apply() once the test database is created"
            )
        with connections[self.using].cursor() as cursor:
            cursor.execute("select coalesce(max(id), 0) from instant.outbox")
            self._last = cursor.fetchone()[0]
        return self._events

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Render the changes since then by the rules.

        :raises RuleFailed: a rule failed on one of the changes.
        """
        if kind is not None:
            return
        with connections[self.using].cursor() as cursor:
            cursor.execute(CHANGES, [self._last])
            names = ("id", "at", "source", "op", "old", "new")
            changes: list[dict[str, Any]] = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        if not changes:
            return
        found = renderer(self.using).events(changes)
        self._events.extend(found)
        self._events.silent.extend(found.silent)

    async def __aenter__(self) -> Events:
        """Do as ``with`` does, on the connection that Django's async ORM uses."""
        return await sync_to_async(self.__enter__)()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Do as ``with`` does."""
        await sync_to_async(self.__exit__)(kind, error, traceback)
