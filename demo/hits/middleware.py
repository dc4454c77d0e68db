"""Each request becomes a row."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from hits.models import Hit

# How many of the latest requests are kept. Older ones are deleted by the thousand.
KEPT = 10_000


def storable(text: str, length: int) -> str:
    """Return the beginning of a text, with another character in place of NUL, which PostgreSQL rejects."""
    return text.replace("\0", "\ufffd")[:length]


def address(request: HttpRequest) -> str | None:
    """Return the address that a request comes from. A proxy appends it to whatever the client itself has sent."""
    forwarded = request.headers.get("X-Forwarded-For", "") if settings.BEHIND_PROXY else ""
    return forwarded.rpartition(",")[2].strip() or request.META.get("REMOTE_ADDR") or None


class HitMiddleware:
    """Stores each request once it has been answered, except those for static files."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer and store."""
        response = self.get_response(request)
        if not request.path.startswith(settings.STATIC_URL):
            hit = Hit.objects.create(
                path=storable(request.path, 500),
                method=request.method[:10],
                status=response.status_code,
                address=address(request),
                user_agent=storable(request.headers.get("User-Agent", ""), 300),
                referer=storable(request.headers.get("Referer", ""), 500),
                user=request.user if request.user.is_authenticated else None,
            )
            if hit.pk % 1000 == 0:
                Hit.objects.filter(pk__lte=hit.pk - KEPT).delete()
        return response
