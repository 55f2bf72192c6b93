"""`tiding serve`: the servers, as `python -m app.serve` starts them."""

from importlib.util import find_spec

import click

from app.cli.failure import Failure

_HELP = """Serve speech (tts), the LLM (llm), or both (all, the default), until ^C.

Addresses, the voice and all else are settings: environment variables that begin with TIDING_.

\b
Examples:
  tiding serve tts
  TIDING_HOST=0.0.0.0 TIDING_PORT=9000 tiding serve tts
"""


@click.command(help=_HELP, short_help="Serve speech, the LLM, or both.")
@click.argument("what", type=click.Choice(("tts", "llm", "all")), default="all")
def serve(what: str) -> int:
    if what != "tts" and find_spec("llama_cpp") is None:
        raise Failure(
            "the LLM server needs llama-cpp-python, which is not installed here: `just setup-llm` in a checkout, or "
            "pip install 'tiding[llm]'. `tiding serve tts` serves speech without it"
        )
    from app.serve import main

    return main([what])
