"""The demo's users."""

from typing import NamedTuple

PASSWORD = "demo"


class Person(NamedTuple):
    """A user who can log in."""

    username: str
    is_staff: bool
    is_superuser: bool
    part: str


PEOPLE = [
    Person("ada", True, True, "runs the place: staff and superuser"),
    Person("ben", True, False, "works here: staff"),
    Person("cleo", False, False, "a customer, in both chat rooms"),
    Person("dan", False, False, "a customer, in one chat room"),
]
