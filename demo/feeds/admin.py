"""Posts in the admin."""

from django.contrib import admin

from feeds.models import Post


@admin.register(Post)
class PostAdmin(admin.ModelAdmin):
    """Posts."""

    list_display = ["title", "feed", "published"]
    list_filter = ["feed"]
