"""Posts that other sites have published."""

from django.db import models
from django.utils import timezone


class Post(models.Model):
    """An item of an RSS feed."""

    guid = models.CharField(max_length=200, unique=True)
    feed = models.CharField(max_length=100)
    title = models.CharField(max_length=200)
    link = models.URLField(blank=True)
    summary = models.TextField(blank=True)
    published = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.title
