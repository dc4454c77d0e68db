"""`manage.py seed`: creates the demo's initial rows."""

from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import transaction

from chat.models import Membership, Message, Room
from home.users import PASSWORD, PEOPLE
from shop.models import Order

ROOMS = {"Kitchen": ["ada", "ben", "cleo", "dan"], "Backstage": ["ada", "cleo"]}
TALK = [
    ("Kitchen", "ben", "Who took the last lemon?"),
    ("Kitchen", "dan", "There is a box of them behind the flour."),
    ("Backstage", "ada", "The new shelf arrives on Friday."),
]
ORDERS = [("cleo", "Espresso cups", "sent"), ("dan", "Teapot", "paid"), ("cleo", "Milk jug", "placed")]


class Command(BaseCommand):
    """Create users, rooms, orders and posts, unless they exist."""

    help = __doc__

    @transaction.atomic
    def handle(self, **options) -> None:
        """Run the command."""
        if User.objects.filter(username=PEOPLE[0].username).exists():
            self.stdout.write("the demo's rows already exist")
            return
        users = {}
        for person in PEOPLE:
            users[person.username] = User.objects.create_user(
                person.username, password=PASSWORD, is_staff=person.is_staff, is_superuser=person.is_superuser
            )
        rooms = {name: Room.objects.create(name=name) for name in ROOMS}
        for name, members in ROOMS.items():
            Membership.objects.bulk_create(Membership(room=rooms[name], user=users[member]) for member in members)
        for name, author, text in TALK:
            Message.objects.create(room=rooms[name], author=users[author], text=text)
        for customer, product, status in ORDERS:
            Order.objects.create(customer=users[customer], product=product, status=status, total="24.50")
        call_command("read_feeds", limit=3)
