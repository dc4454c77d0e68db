"""The front page, the apps, the admin, and Django's own login and logout."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("home.urls")),
    path("shop/", include("shop.urls")),
    path("chat/", include("chat.urls")),
    path("livefeed/", include("livefeed.urls")),
    path("presence/", include("presence.urls")),
    path("hits/", include("hits.urls")),
    path("feeds/", include("feeds.urls")),
    path("accounts/", include("django.contrib.auth.urls")),
    path("admin/", admin.site.urls),
]
