"""Log lines: for a person on a terminal, or a JSON object each for a machine."""

import copy
import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from app.settings import LogFormat

TEXT_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class JsonFormatter(logging.Formatter):
    """One object a line: `time` (RFC 3339, UTC), `level`, `logger`, `message`; of a request, all that it came to; of an
    error, its traceback.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _stamp(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= getattr(record, "account", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def is_json(log_format: LogFormat, console: TextIO) -> bool:
    """Whether lines that go there are for a machine."""
    return log_format == "json" or (log_format == "auto" and not console.isatty())


def relayed(server: str, line: str, *, as_json: bool) -> str:
    """A line of one of several servers, under its name. What is no object becomes the message of one."""
    if not as_json:
        return f"{server:6} | {line.rstrip()}"
    if line.startswith('{"time": '):
        return f'{{"server": {json.dumps(server)}, {line[1:].rstrip()}'
    return json.dumps({"server": server, "time": _now(), "level": "info", "message": line.rstrip()})


def log_config(level: str, log_format: LogFormat) -> dict[str, Any]:
    """Granian's logging, with ours in the same place and the same form."""
    from granian.log import LOGGING_CONFIG

    config: dict[str, Any] = copy.deepcopy(LOGGING_CONFIG)
    as_json = is_json(log_format, sys.stderr)
    config["formatters"]["tiding"] = {"()": JsonFormatter} if as_json else {"format": TEXT_FORMAT}
    config["handlers"]["tiding"] = {"class": "logging.StreamHandler", "formatter": "tiding"}
    config["loggers"]["tiding"] = {"handlers": ["tiding"], "level": level.upper(), "propagate": False}
    if as_json:
        for handler in config["handlers"].values():
            handler["formatter"] = "tiding"
    return config


def _now() -> str:
    return _stamp(datetime.now(UTC))


def _stamp(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds")
