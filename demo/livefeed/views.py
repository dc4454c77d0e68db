"""The live feed: events reach the page as they happen."""

import logging

from django.contrib.admin.views.decorators import staff_member_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST

LEVELS = {"INFO": logging.INFO, "WARNING": logging.WARNING, "ERROR": logging.ERROR}


@staff_member_required
def livefeed(request: HttpRequest) -> HttpResponse:
    """Show the page."""
    return render(request, "livefeed.html", {"levels": LEVELS})


@staff_member_required
@require_POST
def log(request: HttpRequest) -> HttpResponse:
    """Write a log record."""
    level = LEVELS.get(request.POST.get("level"), logging.INFO)
    logging.getLogger("shop").log(level, "%s tries the log", request.user)
    return HttpResponse(status=204)
