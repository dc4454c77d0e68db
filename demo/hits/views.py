"""The hits feed."""

from django.contrib.admin.views.decorators import staff_member_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


@staff_member_required
def hits(request: HttpRequest) -> HttpResponse:
    """Show the page."""
    return render(request, "hits.html")
