"""Logging into a table."""

import logging


class TableHandler(logging.Handler):
    """Stores each record as a row."""

    def emit(self, record: logging.LogRecord) -> None:
        """Store one record."""
        # Logging is set up before models can be imported.
        from livefeed.models import LogRecord

        try:
            LogRecord.objects.create(level=record.levelname, logger=record.name, message=record.getMessage())
        except Exception:
            self.handleError(record)
