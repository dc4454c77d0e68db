"""Log records in the admin."""

from django.contrib import admin

from livefeed.models import LogRecord


@admin.register(LogRecord)
class LogRecordAdmin(admin.ModelAdmin):
    """Log records."""

    list_display = ["level", "logger", "message", "created"]
    list_filter = ["level", "logger"]
