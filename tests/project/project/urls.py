"""The admin, and Django's own log-in and log-out."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [path("admin/", admin.site.urls), path("accounts/", include("django.contrib.auth.urls"))]
