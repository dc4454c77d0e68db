"""What a project's tests see of its events."""

import os
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import parse_qsl, urlsplit

from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, connections, transaction
from django.test import SimpleTestCase, TestCase, TransactionTestCase, override_settings

from instant.testing import Events, RuleFailed, capture_events
from instant.testing.binary import database_url
from instant.testing.renderer import Renderer, renderer
from shop.models import Order


class CaptureTest(TestCase):
    """Inside a test's transaction."""

    @classmethod
    def setUpTestData(cls) -> None:
        """An order that was there before."""
        cls.ada = User.objects.create_user("ada", first_name="1")
        cls.order = Order.objects.create(number="17", customer=cls.ada)

    def test_what_is_rolled_back_inside_and_what_was_written_before_is_not_seen(self) -> None:
        Order.objects.create(number="before", customer=self.ada)
        with capture_events() as events:
            try:
                with transaction.atomic():
                    Order.objects.create(number="never", customer=self.ada)
                    raise LookupError
            except LookupError:
                pass
            Order.objects.create(number="18", customer=self.ada)
        self.assertEqual([event.data["number"] for event in events], ["18"])

    def test_an_update_a_move_and_a_delete_are_events_in_order(self) -> None:
        bob = User.objects.create_user("bob")
        with capture_events() as events:
            Order.objects.filter(pk=self.order.pk).update(status="sent", customer=bob)
            self.order.delete()
        self.assertEqual(
            [(event.event_class, event.channel) for event in events],
            [
                ("Order edited", "staff"),
                ("Order left", f"#{self.ada.pk}"),
                ("order_status", f"#{bob.pk}"),
                ("Order deleted", "staff"),
            ],
        )
        self.assertEqual(events[2].message, "bob, your order 17 is sent")

    def test_an_assertion_lists_the_events_and_why_a_change_went_nowhere(self) -> None:
        with capture_events() as events:
            Order.objects.filter(pk=self.order.pk).update(number="19")
        with self.assertRaises(AssertionError) as raised:
            events.assert_event("Order created", channel="staff", pk=1, data={"number": "19"})
        said = str(raised.exception)
        self.assertIn("event_class='Order created', channel='staff', pk=1, data={'number': '19'}", said)
        self.assertIn("'Order edited' to 'staff': 'Order", said)
        with self.assertRaisesRegex(AssertionError, "no event was expected"):
            events.assert_no_events()
        with self.assertRaisesRegex(AssertionError, "no watched row was changed"):
            Events().assert_event("x")
        with capture_events() as none:
            with connection.cursor() as cursor:
                cursor.execute("insert into instant.outbox (source, op, new) values ('public.gone', 'I', '{}')")
        with self.assertRaisesRegex(AssertionError, r"insert in public\.gone: instant\.toml does not watch it"):
            none.assert_event("x")

    def test_a_rule_that_fails_is_an_error_with_its_reason(self) -> None:
        with self.assertRaisesRegex(RuleFailed, r"rule 2 of shop\.Order: target: the row has no column `customer_id`"):
            with capture_events():
                with connection.cursor() as cursor:
                    cursor.execute(
                        "insert into instant.outbox (source, op, old, new) "
                        """values ('public.shop_order', 'U', '{"id":1,"status":"a"}', '{"id":1,"status":"b"}')"""
                    )

    def test_an_error_inside_is_the_one_that_is_raised(self) -> None:
        with self.assertRaises(ZeroDivisionError):
            with capture_events():
                Order.objects.create(number=str(1 / 0), customer=self.ada)

    def test_an_invalid_key_finds_no_row_and_does_not_affect_the_others(self) -> None:
        with capture_events() as events:
            with connection.cursor() as cursor:
                cursor.execute(
                    "insert into instant.outbox (source, op, old, new) select 'public.shop_order', 'U', "
                    """'{"id":1,"number":"1","status":"a","customer_id":1}',"""
                    "json_build_object('id', 1, 'number', '1', 'status', 'b', 'customer_id', key)"
                    "from unnest(array['no number', %s]) key",
                    [str(self.ada.pk)],
                )
        told = [event.message for event in events if event.event_class == "order_status"]
        self.assertEqual(told, ["None, your order 1 is b", "ada, your order 1 is b"])

    def test_the_session_is_left_as_it_was(self) -> None:
        def settings() -> list[Any]:
            with connection.cursor() as cursor:
                cursor.execute("select current_setting('TimeZone'), current_setting('IntervalStyle')")
                return list(cursor.fetchone())

        with connection.cursor() as cursor:
            cursor.execute("set local IntervalStyle = 'postgres_verbose'")
        before = settings()
        with capture_events():
            Order.objects.filter(pk=self.order.pk).update(status="sent")
        self.assertEqual(settings(), before)

    def test_without_triggers_it_says_what_to_do(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("alter schema instant rename to elsewhere")
        with self.assertRaisesRegex(ImproperlyConfigured, "TEST_RUNNER"):
            with capture_events():
                pass


class CommittedTest(TransactionTestCase):
    """Without a surrounding transaction."""

    def test_what_is_committed_is_seen(self) -> None:
        ada = User.objects.create_user("ada")
        with capture_events() as events:
            with transaction.atomic():
                Order.objects.create(number="1", customer=ada)
            Order.objects.update(status="sent")
        self.assertEqual([event.op for event in events], ["insert", "update", "update"])


class RestartTest(TestCase):
    """A binary that has ended."""

    def test_a_renderer_that_has_ended_is_started_again(self) -> None:
        before = renderer("default")
        before.close()
        with capture_events() as events:
            User.objects.create_user("ada")
            Order.objects.create(number="1", customer=User.objects.get())
        events.assert_event("Order created")
        self.assertIsNot(renderer("default"), before)


class BinaryTest(SimpleTestCase):
    """How the binary is called."""

    databases = {"default"}

    def test_a_missing_binary_and_its_complaints_are_reported(self) -> None:
        with override_settings(INSTANT_BINARY="/nowhere/instant"), self.assertRaisesRegex(ImproperlyConfigured, "INSTANT_BINARY"):
            Renderer("default")
        with override_settings(INSTANT_CONFIG="/nowhere/instant.toml"):
            with self.assertRaisesRegex(ImproperlyConfigured, r"(?s)has ended.*/nowhere/instant\.toml"):
                Renderer("default")

    def test_the_url_is_that_of_djangos_own_connection(self) -> None:
        found = {"USER": "a b", "PASSWORD": "p@ss:/", "HOST": "/run/postgresql", "PORT": 5433, "NAME": "test_x"}
        found["OPTIONS"] = {"sslmode": "require", "options": "-c search_path=shop,public"}
        unset = {"USER": "", "PASSWORD": "", "HOST": "", "PORT": "", "NAME": "test_x", "OPTIONS": {}}
        before = dict(connection.settings_dict)
        try:
            connection.settings_dict.update(found)
            url = database_url("default")
            connection.settings_dict.update(unset)
            open_url = database_url("default")
        finally:
            connection.settings_dict.update(before)
        parameters = "sslmode=require&options=-c%20search_path%3Dshop%2Cpublic&user=a%20b&password=p%40ss%3A%2F&host=%2Frun%2Fpostgresql&port=5433"
        self.assertEqual(url, f"postgresql:///test_x?{parameters}")
        self.assertEqual(open_url, "postgresql:///test_x")

    def test_of_several_hosts_in_the_environment_the_binary_is_led_to_the_one_that_django_reaches(self) -> None:
        own = connection.settings_dict
        listed = connection.copy("listed")
        listed.settings_dict = {**own, "HOST": ""}
        connections["listed"] = listed
        try:
            with mock.patch.dict(os.environ, PGHOST=f"/nowhere,{own['HOST']}"):
                url = database_url("listed", "other")
        finally:
            listed.close()
            del connections["listed"]
        self.assertEqual(dict(parse_qsl(urlsplit(url).query))["host"], own["HOST"])

    def test_a_service_and_a_file_of_passwords_lead_the_binary_where_they_lead_django(self) -> None:
        own = connection.settings_dict
        with tempfile.TemporaryDirectory() as folder:
            services, passwords = Path(folder, "services"), Path(folder, "passwords")
            services.write_text(f"[shop]\nhost={own['HOST']}\nport={own['PORT']}\nuser={own['USER']}\noptions=-c search_path=shop\n")
            passwords.write_text("*:*:*:*:se cret\n")
            passwords.chmod(0o600)
            by_service = connection.copy("by_service")
            by_service.settings_dict = {**own, "HOST": "", "PORT": "", "USER": "", "PASSWORD": ""}
            by_service.settings_dict["OPTIONS"] = {"service": "shop", "passfile": str(passwords)}
            connections["by_service"] = by_service
            try:
                with mock.patch.dict(os.environ, PGSERVICEFILE=str(services)):
                    url = database_url("by_service", "other")
            finally:
                by_service.close()
                del connections["by_service"]
        said = dict(parse_qsl(urlsplit(url).query))
        # psycopg2 reports default values, too.
        self.assertEqual(said.pop("sslmode", "prefer"), "prefer")
        server = {"host": own["HOST"], "port": str(own["PORT"]), "user": own["USER"], "password": "se cret"}
        self.assertEqual((urlsplit(url).path, said), ("/other", {**server, "options": "-c search_path=shop"}))
