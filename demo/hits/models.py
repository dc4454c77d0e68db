"""The requests to the site."""

from django.conf import settings
from django.db import models


class Hit(models.Model):
    """A request."""

    path = models.CharField(max_length=500)
    method = models.CharField(max_length=10)
    status = models.PositiveSmallIntegerField()
    address = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=300, blank=True)
    referer = models.CharField(max_length=500, blank=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    created = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"
