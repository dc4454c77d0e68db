"""The admin, Django's own log-in and log-out, and the pages of tests."""

from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import include, path
from django.utils.html import format_html_join
from django.views.static import serve


def whoami(request):
    """Say who asks, as a site with a log-in of its own would: by its session, or a key in a header."""
    user = request.user
    if request.headers.get("Authorization") == "Bearer of the first":
        return JsonResponse({"user": "1", "groups": ["by header"]})
    if not user.is_authenticated:
        return HttpResponse(status=401)
    groups = [group.name for group in user.groups.all()]
    return JsonResponse({"user": str(user.pk), "is_staff": user.is_staff, "is_superuser": user.is_superuser, "groups": groups})


def page(request, name):
    """Show a page that a test has written, or send a script that lies beside it."""
    if name.endswith(".html"):
        return render(request, name)
    return serve(request, name, document_root=settings.PAGES)


def token(request):
    """Answer with the connection token that a test has written, or none, as a site's own endpoint would."""
    path = Path(settings.PAGES) / "token"
    return JsonResponse({"token": path.read_text()}) if path.exists() else HttpResponse(status=401)


def orders(request):
    """List the orders, as a part of a page."""
    found = apps.get_model("shop", "Order").objects.order_by("pk")
    return HttpResponse(format_html_join("\n", "<li>{} {}</li>", ((order.number, order.status) for order in found)))


urlpatterns = [
    path("admin/", admin.site.urls),
    path("accounts/", include("django.contrib.auth.urls")),
    path("whoami", whoami),
    path("pages/<str:name>", page),
    path("orders/", orders),
    path("token", token),
]
