"""The front page."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from home.users import PASSWORD, PEOPLE


def home(request: HttpRequest) -> HttpResponse:
    """Show a tile for each app, and who can log in."""
    return render(request, "home.html", {"people": PEOPLE, "password": PASSWORD})
