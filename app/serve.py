"""`python -m app.serve tts`, `llm` or `all`: the apps under Granian, with the settings of the environment."""

import copy
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

from app.settings import LlmSettings, SettingsError, TtsSettings, read_llm_settings, read_settings
from app.together import Plan, serve_together
from engines.catalog import ModelMissing
from modes.registry import ModeError

if TYPE_CHECKING:
    from litestar import Litestar

USAGE: Final = """\
usage: python -m app.serve tts                  the speech server
       python -m app.serve llm                  the LLM server
       python -m app.serve all [COMMAND...]     both, the second once COMMAND has installed what it needs"""


def main(arguments: Sequence[str]) -> int:
    """Serve what `arguments` names until a signal ends it. The exit status is 2 when it was misused or a setting is
    wrong.
    """
    try:
        match arguments:
            case ["tts"]:
                return _serve(read_settings(os.environ), "app.serve:tts_app")
            case ["llm"]:
                return _serve(read_llm_settings(os.environ), "app.serve:llm_app")
            case ["all", *setup]:
                return serve_together(_plan(setup))
            case _:
                print(USAGE, file=sys.stderr)
    except SettingsError as error:
        print(f"tiding: {error}", file=sys.stderr)
    return 2


def _serve(settings: TtsSettings | LlmSettings, target: str) -> int:
    """Run a server. Ends the process with status 1 when its worker dies.

    One worker: a device has one owner.
    """
    # Here, for whoever only waits for the servers has no need of it.
    from granian.constants import Interfaces
    from granian.log import LogLevels
    from granian.server import Server

    Server(
        target,
        factory=True,
        interface=Interfaces.ASGI,
        address=settings.host,
        port=settings.port,
        workers=1,
        log_level=LogLevels.info,
        log_dictconfig=_logging(settings.log_level),
    ).serve()
    return 0


def _plan(setup: Sequence[str]) -> Plan:
    """Both servers, each with this environment. It is read here as well, so that what is wrong ends both.

    Raises:
        SettingsError: a `TIDING_` variable is unknown or malformed, or both would listen at the same place.
    """
    tts, llm = read_settings(os.environ), read_llm_settings(os.environ)
    addresses = (tts.host, tts.port), (llm.host, llm.port)
    if addresses[0] == addresses[1]:
        raise SettingsError(f"TIDING_PORT and TIDING_LLM_PORT are both {tts.port}: each server needs one of its own")
    serve = [sys.executable, "-m", "app.serve"]
    return Plan([*serve, "tts"], [*serve, "llm"], *addresses, setup)


def tts_app() -> "Litestar":
    """The speech app as Granian's worker makes it."""
    from app import tts

    return _made(tts.create_app)


def llm_app() -> "Litestar":
    """The LLM app as Granian's worker makes it."""
    from app import llm

    return _made(llm.create_app)


def _made(create_app: "Callable[[], Litestar]") -> "Litestar":
    """What a person can put right ends the worker with a message, not a traceback."""
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
    from granian.log import LOGGING_CONFIG

    config: dict[str, Any] = copy.deepcopy(LOGGING_CONFIG)
    config["formatters"]["tiding"] = {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}
    config["handlers"]["tiding"] = {"class": "logging.StreamHandler", "formatter": "tiding"}
    config["loggers"]["tiding"] = {"handlers": ["tiding"], "level": level.upper(), "propagate": False}
    return config


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
