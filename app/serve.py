"""`python -m app.serve tts`, `llm` or `all`: the apps under Granian, with the settings of the environment."""

import asyncio
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NoReturn

from app.logs import is_json, log_config
from app.settings import LLM_PREFIX, PREFIX, LlmSettings, SettingsError, TtsSettings, read_llm_settings, read_settings
from app.status import GAVE_UP
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
    """Run a server until it has drained. The status is 1 when its worker could not be kept alive, or did not end by
    itself.
    """
    # Here, for whoever only waits for the servers has no need of it.
    from app.supervisor import Supervisor

    Supervisor(
        target,
        address=settings.host,
        port=settings.port,
        drain_s=settings.drain_s,
        send_timeout_s=settings.send_timeout_s,
        log_dictconfig=log_config(settings.log_level, settings.log_format),
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
    as_json = is_json(tts.log_format, sys.stdout)
    for prefix in (PREFIX, LLM_PREFIX):  # what they write to is no terminal any more
        os.environ[f"{prefix}LOG_FORMAT"] = "json" if as_json else "text"
    serve = [sys.executable, "-m", "app.serve"]
    drain_s = max(tts.drain_s, llm.drain_s)
    return Plan([*serve, "tts"], [*serve, "llm"], *addresses, setup, drain_s=drain_s, logs_json=as_json)


def tts_app() -> "Litestar":
    """The speech app as Granian's worker makes it."""
    from app import tts

    return made(tts.create_app)


def llm_app() -> "Litestar":
    """The LLM app as Granian's worker makes it."""
    from app import llm

    return made(llm.create_app)


def made(create_app: "Callable[[], Litestar]") -> "Litestar":
    """An app that ends by a drain. What a person can put right ends the worker with a message, not a traceback."""
    from app.worker import Endings

    endings = Endings(asyncio.get_event_loop())
    try:
        app = create_app()
    except (ModeError, ModelMissing, SettingsError) as error:
        _give_up(str(error))
    except Exception:
        traceback.print_exc()
        _give_up("the app could not be made")
    endings.drain_with(app.state["drain"])
    return app


def _give_up(message: str) -> NoReturn:
    print(f"tiding: {message}", file=sys.stderr, flush=True)
    logging.shutdown()
    os._exit(GAVE_UP)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
