"""The feed reader, for everyone."""

import uuid

from django.contrib.admin.views.decorators import staff_member_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST

from feeds.models import Post

# How many posts a page shows, and how many a burst may have.
SHOWN = 20
BURST = 500


def feeds(request: HttpRequest) -> HttpResponse:
    """Show the page."""
    return render(request, "feeds.html", {"posts": Post.objects.all()[:SHOWN]})


def posts(request: HttpRequest) -> HttpResponse:
    """Render the latest posts as a fragment of the page."""
    return render(request, "posts.html", {"posts": Post.objects.all()[:SHOWN]})


@staff_member_required
@require_POST
def burst(request: HttpRequest) -> HttpResponse:
    """Save many posts at once, as a feed would deliver after a long outage."""
    try:
        count = min(int(request.POST.get("count", 1)), BURST)
    except ValueError:
        return HttpResponse(status=400)
    Post.objects.bulk_create(
        Post(guid=uuid.uuid4(), feed="The Daily Bean", title=f"Bean number {number}") for number in range(1, count + 1)
    )
    return HttpResponse(status=204)
