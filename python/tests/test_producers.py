"""Messages sent by hand."""

from decimal import Decimal

from django.contrib.auth.models import Group
from django.db import ProgrammingError, connection, transaction
from django.test import TestCase

from instant.producers import broadcast
from instant.testing import capture_events


class BroadcastTest(TestCase):
    """What is sent where."""

    def test_the_seeds_quick_example_runs_as_it_stands(self) -> None:
        with capture_events() as events:
            from instant.producers import broadcast

            broadcast(message='Message for everyone', event_class="test")
            broadcast(message='Message for users', target="users")
            broadcast(message='Message for staff', target="staff", data={"field1":"value1","field2":[1,2]})
        told = [(event.event_class, event.channel, event.message, event.data) for event in events]
        self.assertEqual(
            told,
            [
                ("test", "public", "Message for everyone", {}),
                ("default", "users", "Message for users", {}),
                ("default", "staff", "Message for staff", {"field1": "value1", "field2": [1, 2]}),
            ],
        )

    def test_bad_input_is_refused_before_the_database_is_queried(self) -> None:
        for wrong in (
            lambda: broadcast("x", target="everyone"),
            lambda: broadcast("x", target="staff", channel="a"),
            lambda: broadcast("a\0b"),
            lambda: broadcast("x", data={"a": float("nan")}),
        ):
            with self.subTest(), transaction.atomic(), self.assertRaises(ValueError):
                wrong()
        with self.assertRaises(TypeError):
            broadcast("x", data={"a": object()})
        self.assertEqual(Group.objects.count(), 0, "the transaction still works")

    def test_a_message_that_a_savepoint_rolls_back_is_not_sent(self) -> None:
        with capture_events() as events:
            with self.assertRaises(LookupError), transaction.atomic():
                broadcast("never")
                raise LookupError
            broadcast("100 %s of it")
        self.assertEqual([event.message for event in events], ["100 %s of it"])

    def test_a_database_without_instant_says_what_to_run(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("alter schema instant rename to elsewhere")
        with self.assertRaisesRegex(ProgrammingError, "instant apply"), transaction.atomic():
            broadcast("x")

    def test_a_role_that_may_not_send_is_told_what_to_grant(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("set local role pg_monitor")
            with self.assertRaisesRegex(ProgrammingError, "grant execute on function instant.broadcast"), transaction.atomic():
                broadcast("x")
            cursor.execute("reset role")

    async def test_the_async_twin_and_djangos_values_in_data(self) -> None:
        from instant.producers import abroadcast

        async with capture_events() as events:
            await abroadcast("x", target="group:night shift", data={"total": Decimal("12.50")})
        events.assert_event(channel="group.night%20shift", data={"total": "12.50"})
