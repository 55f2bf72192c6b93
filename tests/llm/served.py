"""The LLM server on the fake model: `python -m tests.llm.served`, as `python -m app.serve llm` serves the real one.

Asked for a story it tells a long one, asked for a hello it is brief, and to anything else it chatters.
"""

import os
from collections.abc import Sequence
from typing import Final

from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import Server
from litestar import Litestar

from app.llm import create_app
from app.settings import read_llm_settings
from engines.llm.fake import FakeText, chatter, words_of

STORY: Final[Sequence[str | bytes]] = [
    *words_of("Once there was a fox who lived by the river, and he was called Caf"),
    b"\xc3",
    b"\xa9",
    *words_of(
        '. "Come here!" he cried to Dr. Duck. She did not. The river was 3.5 metres deep, and so cold. It rained.'
    ),
    *words_of(" So he went home, and told the others that ducks are not what they were."),
]


def tell(conversation: str) -> Sequence[str | bytes]:
    """The script."""
    asked = conversation.rpartition("<user>")[2]
    if "story" in asked:
        return STORY
    return words_of("Hello.") if "hello" in asked else chatter(conversation)


def app() -> Litestar:
    """The app as Granian's worker makes it."""
    return create_app(read_llm_settings(os.environ), load=lambda: FakeText(tell))


def main() -> None:
    settings = read_llm_settings(os.environ)
    Server(
        "tests.llm.served:app",
        factory=True,
        interface=Interfaces.ASGI,
        address=settings.host,
        port=settings.port,
        workers=1,
        log_level=LogLevels.warning,
    ).serve()


if __name__ == "__main__":
    main()
