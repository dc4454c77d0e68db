"""Logging into a table."""

import logging

# How many of the latest records are kept. Older ones are deleted by the thousand.
KEPT = 10_000


class TableHandler(logging.Handler):
    """Stores each record as a row."""

    def emit(self, record: logging.LogRecord) -> None:
        """Store one record."""
        # Logging is set up before models can be imported.
        from livefeed.models import LogRecord

        try:
            # PostgreSQL rejects NUL characters.
            message = record.getMessage().replace("\0", "\ufffd")
            row = LogRecord.objects.create(level=record.levelname, logger=record.name, message=message)
            if row.pk % 1000 == 0:
                LogRecord.objects.filter(pk__lte=row.pk - KEPT).delete()
        except Exception:
            self.handleError(record)
