"""How all processes write their log: one line an event, times in one zone and with their offset."""

import logging
import logging.config
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo


class ZoneFormatter(logging.Formatter):
    """Times as 2026-07-02T00:00:00.125+05:30, whatever the zone of the machine."""

    def __init__(self, form: str, zone: str) -> None:
        super().__init__(form)
        self._zone = ZoneInfo(zone)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802, ARG002
        return datetime.fromtimestamp(record.created, self._zone).isoformat(timespec="milliseconds")


def configuration(level: str, time_zone: str) -> dict[str, Any]:
    """For logging.config: everything from this level on goes to standard error."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": "processes.log.ZoneFormatter",
                "form": "%(asctime)s %(levelname)s %(name)s: %(message)s",
                "zone": time_zone,
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "loggers": {
            "_granian": {"handlers": ["stderr"], "propagate": False},
            # Ten lines a second while a broker or node is away; what matters of them stands in our own.
            "kafka": {"level": "DEBUG" if level == "DEBUG" else "CRITICAL"},
            "cassandra": {"level": "DEBUG" if level == "DEBUG" else "CRITICAL"},
        },
        "root": {"handlers": ["stderr"], "level": level},
    }


def configure(level: str, time_zone: str) -> None:
    """Make it so in this process."""
    logging.config.dictConfig(configuration(level, time_zone))
