"""Logging into a table."""

import logging


class TableHandler(logging.Handler):
    """Stores each record as a row."""

    def emit(self, record: logging.LogRecord) -> None:
        """Store one record."""
        # Logging is set up before models can be imported.
        from livefeed.models import LogRecord

        try:
            # PostgreSQL refuses the character 0.
            message = record.getMessage().replace("\0", "\ufffd")
            LogRecord.objects.create(level=record.levelname, logger=record.name, message=message)
        except Exception:
            self.handleError(record)
