"""For a project's own tests: what would be published, seen inside the test's own transaction.

.. code-block:: python

    with capture_events() as events:
        order.save()
    events.assert_event("Order edited", channel="staff", data={"status": "paid"})

No relay, no Centrifugo and no commit are needed, only the ``instant`` binary and the triggers in the test database: set
``TEST_RUNNER = "instant.testing.DiscoverRunner"``, or call :func:`apply` if another runner creates the database.
"""

from instant.testing.capture import capture_events
from instant.testing.database import apply
from instant.testing.events import Event, Events, RuleFailed
from instant.testing.runner import DiscoverRunner, RunnerMixin

__all__ = ["DiscoverRunner", "Event", "Events", "RuleFailed", "RunnerMixin", "apply", "capture_events"]
