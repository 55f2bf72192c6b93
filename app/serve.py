"""`python -m app.serve tts`: the app under Granian, with the settings of the environment."""

import copy
import logging
import os
import sys
from typing import Any, NoReturn

from granian.constants import Interfaces
from granian.log import LOGGING_CONFIG, LogLevels
from granian.server import Server
from litestar import Litestar

from app.settings import SettingsError, TtsSettings, read_settings
from engines.catalog import ModelMissing
from modes.registry import ModeError


def main(arguments: list[str]) -> int:
    """Serve what `arguments` names until a signal ends it. The exit status is 2 when it was misused or a setting is
    wrong.
    """
    if arguments != ["tts"]:
        print("usage: python -m app.serve tts", file=sys.stderr)
        return 2
    try:
        settings = read_settings(os.environ)
    except SettingsError as error:
        print(f"tiding: {error}", file=sys.stderr)
        return 2
    serve_tts(settings)
    return 0


def serve_tts(settings: TtsSettings) -> None:
    """Run the speech server. Ends the process with status 1 when its worker dies.

    One worker: a device has one owner.
    """
    Server(
        "app.serve:tts_app",
        factory=True,
        interface=Interfaces.ASGI,
        address=settings.host,
        port=settings.port,
        workers=1,
        log_level=LogLevels.info,
        log_dictconfig=_logging(settings.log_level),
    ).serve()


def tts_app() -> Litestar:
    """The app as Granian's worker makes it. What a person can put right ends the worker with a message, not a
    traceback.
    """
    from app.tts import create_app

    try:
        return create_app()
    except (ModeError, ModelMissing, SettingsError) as error:
        _give_up(str(error))


def _give_up(message: str) -> NoReturn:
    print(f"tiding: {message}", file=sys.stderr, flush=True)
    logging.shutdown()
    os._exit(1)


def _logging(level: str) -> dict[str, Any]:
    """Granian's logging, with ours in the same place."""
    config: dict[str, Any] = copy.deepcopy(LOGGING_CONFIG)
    config["formatters"]["tiding"] = {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}
    config["handlers"]["tiding"] = {"class": "logging.StreamHandler", "formatter": "tiding"}
    config["loggers"]["tiding"] = {"handlers": ["tiding"], "level": level.upper(), "propagate": False}
    return config


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
