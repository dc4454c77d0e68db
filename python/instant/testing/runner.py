"""A test runner that installs the triggers in the databases that it creates."""

from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.test import runner

from instant.testing.database import apply


class RunnerMixin:
    """A mixin for a project's own runner: ``class Runner(RunnerMixin, DiscoverRunner)``."""

    #: The alias of the database that Instant watches.
    instant_database = DEFAULT_DB_ALIAS

    def setup_databases(self, **kwargs: Any) -> Any:
        """Create the databases and their clones for parallel tests, and install the triggers in them, or leave no database behind."""
        made = super().setup_databases(**kwargs)  # type: ignore[misc]
        aliases = kwargs.get("aliases")
        if aliases is not None and self.instant_database not in aliases:
            # No test uses it, so it was not created.
            return made
        try:
            self._apply()
        except BaseException:
            # Django tears down only what is returned to it, and an error returns nothing.
            self.teardown_databases(made)  # type: ignore[attr-defined]
            raise
        return made

    def _apply(self) -> None:
        """Install the triggers in the database that Instant watches, and in its clones."""
        apply(self.instant_database)
        parallel: int = getattr(self, "parallel", 0)
        if parallel > 1:
            creation = connections[self.instant_database].creation
            for number in range(1, parallel + 1):
                clone = creation.get_test_db_clone_settings(str(number))
                apply(self.instant_database, database=str(clone["NAME"]))


class DiscoverRunner(RunnerMixin, runner.DiscoverRunner):  # type: ignore[misc]
    """Django's own runner, with the triggers in the test databases."""
