"""Who is online: the browser has the users' keys, and gets their names here."""

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render


def presence(request: HttpRequest) -> HttpResponse:
    """Show the page."""
    return render(request, "presence.html")


def names(request: HttpRequest) -> JsonResponse:
    """Return the names of the users whose keys are given as `id`, by key."""
    keys = [key for key in request.GET.getlist("id") if key.isdecimal() and len(key) < 10]
    users = User.objects.filter(pk__in=keys).values_list("pk", "username")
    return JsonResponse({str(key): name for key, name in users})
