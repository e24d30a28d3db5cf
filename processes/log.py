"""How all processes write their log: one line an event, times in UTC with their offset."""

import logging
import logging.config
from datetime import UTC, datetime
from typing import Any


class UtcFormatter(logging.Formatter):
    """Times as 2026-07-01T18:30:00.125+00:00, whatever the zone of the machine."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802, ARG002
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def configuration(level: str) -> dict[str, Any]:
    """For logging.config: everything from this level on goes to standard error."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "utc": {"()": "processes.log.UtcFormatter", "format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "utc"}},
        "loggers": {"_granian": {"handlers": ["stderr"], "propagate": False}},
        "root": {"handlers": ["stderr"], "level": level},
    }


def configure(level: str) -> None:
    """Make it so in this process."""
    logging.config.dictConfig(configuration(level))
