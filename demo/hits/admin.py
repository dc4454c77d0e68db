"""Hits in the admin."""

from django.contrib import admin

from hits.models import Hit


@admin.register(Hit)
class HitAdmin(admin.ModelAdmin):
    """Hits."""

    list_display = ["created", "method", "path", "status", "user"]
