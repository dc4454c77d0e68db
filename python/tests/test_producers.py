"""Messages by hand."""

from decimal import Decimal

from django.test import TestCase

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

    async def test_the_async_twin_and_djangos_values_in_data(self) -> None:
        from instant.producers import abroadcast

        async with capture_events() as events:
            await abroadcast("x", target="group:night shift", data={"total": Decimal("12.50")})
        events.assert_event(channel="group.night%20shift", data={"total": "12.50"})
