"""What a sentence costs before it is spoken: `python -m tests.bench.reading`.

Its reading beside a search of every rule, and all that is done with it when it is pushed, on the event loop: in a crowd
that comes at one instant, that is done for all before one is spoken.
"""

import asyncio
import time
from typing import Final

import msgspec

from engines.fake import Gate
from engines.reading.english import english
from engines.reading.rules import Reader, find_pieces
from tests.running import running

TEXTS: Final = {
    "prose": "The train to Edinburgh leaves at seven fifteen from platform nine, and it is on time.",
    "figures": "The train to Edinburgh leaves at 7:15 from platform 9 on March 3, 2024, and costs $84.50.",
}
NUM_ROUNDS: Final = 500


def without_needs(reader: Reader) -> Reader:
    """The same rules, of which none is spared."""
    rules = (msgspec.structs.replace(one, is_numeric=False, needs=frozenset()) for one in reader.rules)
    return msgspec.structs.replace(reader, rules=tuple(rules))


async def push_us(text: str) -> float:
    """A push of a text, in a session of its own."""
    best_us = float("inf")
    async with running(gate=Gate()) as (engine, _):
        for _ in range(NUM_ROUNDS):
            async with engine.open_session() as session:
                start_s = time.perf_counter()
                session.push(text)
                best_us = min(best_us, (time.perf_counter() - start_s) * 1e6)
    return best_us


def main() -> None:
    readers = {"as it is": english("US"), "every rule": without_needs(english("US"))}
    for name, text in TEXTS.items():
        best_us = dict.fromkeys(readers, float("inf"))
        for _ in range(NUM_ROUNDS):
            for way, reader in readers.items():
                start_s = time.perf_counter()
                list(find_pieces(text, reader))
                best_us[way] = min(best_us[way], (time.perf_counter() - start_s) * 1e6)
        best_us["a push in all"] = asyncio.run(push_us(text))
        print(f"{name}: " + ", ".join(f"{way} {took_us:.0f} us" for way, took_us in best_us.items()))


if __name__ == "__main__":
    main()
