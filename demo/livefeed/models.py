"""The project's log records."""

from django.db import models


class LogRecord(models.Model):
    """A record of Python's logging."""

    level = models.CharField(max_length=10)
    logger = models.CharField(max_length=100)
    message = models.TextField()
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.message
