"""How is a log line written?

Text for people at a terminal, or one JSON object a line for machines (``--log-format``). Everything goes to stderr.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Final

__all__ = ["FORMATS", "set_up_logs"]

FORMATS: Final = ("text", "json")

_LONGEST_LINE: Final = 4000

_ORDINARY: Final = frozenset(logging.LogRecord("", 0, "", 0, "", None, None).__dict__) | {"message", "taskName"}


class _Json(logging.Formatter):
    def __init__(self) -> None:
        super().__init__()
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, str | int | float] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {
            name: value
            for name, value in record.__dict__.items()
            if name not in _ORDINARY and isinstance(value, str | int | float)
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


class _Text(logging.Formatter):
    """One line a record: names and values come from objects that anybody may have written."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # its name in logging
        line = super().formatMessage(record)
        if len(line) > _LONGEST_LINE:
            line = line[:_LONGEST_LINE] + "..."
        return line if line.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


def set_up_logs(form: str, *, verbose: bool = False) -> None:
    """Send the logs of this process to stderr as ``text`` or ``json``."""
    handler = logging.StreamHandler(sys.stderr)
    if form == "json":
        handler.setFormatter(_Json())
    else:
        text = _Text("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ")
        text.converter = time.gmtime
        handler.setFormatter(text)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if verbose else logging.INFO)
    # kopf tells of every event it hands on; what it does wrong is still heard.
    logging.getLogger("kopf").setLevel(logging.DEBUG if verbose else logging.WARNING)
    # It warns that signals are not its own in our thread, which is why it has one.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
