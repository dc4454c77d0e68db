"""Each request becomes a row."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from hits.models import Hit


def storable(text: str, length: int) -> str:
    """Return the beginning of a text, with another sign in place of the character 0, which PostgreSQL refuses."""
    return text.replace("\0", "\ufffd")[:length]


class HitMiddleware:
    """Stores each request, but those for static files, once it has been answered."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer and store."""
        response = self.get_response(request)
        if not request.path.startswith(settings.STATIC_URL):
            Hit.objects.create(
                path=storable(request.path, 500),
                method=request.method[:10],
                status=response.status_code,
                address=request.META.get("REMOTE_ADDR") or None,
                user_agent=storable(request.headers.get("User-Agent", ""), 300),
                referer=storable(request.headers.get("Referer", ""), 500),
                user=request.user if request.user.is_authenticated else None,
            )
        return response
