"""The context of every page."""

from django.conf import settings
from django.http import HttpRequest


def realtime(request: HttpRequest) -> dict[str, str]:
    """Return the addresses of the script tag in the base template."""
    return {"realtime_script": settings.REALTIME_SCRIPT, "realtime_server": settings.REALTIME_SERVER}
