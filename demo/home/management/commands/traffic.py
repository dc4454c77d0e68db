"""`manage.py traffic URL`: acts now and then as users would, until it is stopped."""

import logging
import random
import time
import urllib.request
from collections.abc import Callable

from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser
from django.db import close_old_connections

from chat.models import Membership, Message
from shop.models import Order
from shop.views import PRODUCTS

TALK = ["Good morning!", "The kettle is on.", "Who is in today?", "Two more orders to pack.", "I am at the door.", "Lunch at one?"]
PATHS = ["/", "/", "/feeds/", "/feeds/posts/", "/presence/", "/shop/", "/nowhere/"]
# How many orders there may be before the oldest is deleted.
ORDERS = 40
log = logging.getLogger("shop")


class Command(BaseCommand):
    """Generate a little traffic."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument("url", help="the address of the site")
        parser.add_argument("--pause", type=float, default=2.0, help="seconds between two actions, on average")

    def handle(self, url: str, pause: float, **options) -> None:
        """Run the command."""
        deeds: list[Callable[[], object]] = [
            *[lambda: self.visit(url)] * 4,
            *[self.move_order] * 3,
            self.order,
            self.talk,
            lambda: call_command("read_feeds", limit=1, stdout=self.stdout),
        ]
        while True:
            time.sleep(random.uniform(0, 2 * pause))
            close_old_connections()
            try:
                random.choice(deeds)()
            except Exception as error:
                # A page may not exist, and others may delete a row that is about to be changed.
                self.stdout.write(repr(error))

    def visit(self, url: str) -> None:
        """Request a page."""
        request = urllib.request.Request(url.rstrip("/") + random.choice(PATHS), headers={"User-Agent": "traffic"})
        urllib.request.urlopen(request, timeout=5).close()

    def order(self) -> None:
        """Place an order for a customer."""
        product = random.choice(list(PRODUCTS))
        customer = User.objects.filter(is_staff=False).order_by("?").first()
        if customer is None:
            return
        Order.objects.create(product=product, total=PRODUCTS[product], customer=customer)
        log.info("%s ordered: %s", customer, product)
        if Order.objects.count() > ORDERS:
            Order.objects.last().delete()

    def move_order(self) -> None:
        """Advance an order by one step."""
        order = Order.objects.exclude(status=Order.Status.DELIVERED).order_by("?").first()
        if order:
            order.status = order.next_status
            order.save(update_fields=["status"])

    def talk(self) -> None:
        """Post a message in a room."""
        membership = Membership.objects.order_by("?").first()
        if membership:
            Message.objects.create(room=membership.room, author=membership.user, text=random.choice(TALK))
