"""What reading a sentence costs before it is spoken, beside a search of every rule: `python -m tests.bench.reading`."""

import time
from typing import Final

import msgspec

from engines.reading.english import english
from engines.reading.rules import Reader, find_pieces

TEXTS: Final = {
    "prose": "The train to Edinburgh leaves at seven fifteen from platform nine, and it is on time.",
    "figures": "The train to Edinburgh leaves at 7:15 from platform 9 on March 3, 2024, and costs $84.50.",
}
NUM_ROUNDS: Final = 500


def without_needs(reader: Reader) -> Reader:
    """The same rules, of which none is spared."""
    rules = (msgspec.structs.replace(one, is_numeric=False, needs=frozenset()) for one in reader.rules)
    return msgspec.structs.replace(reader, rules=tuple(rules))


def main() -> None:
    readers = {"as it is": english("US"), "every rule": without_needs(english("US"))}
    for name, text in TEXTS.items():
        best_us = dict.fromkeys(readers, float("inf"))
        for _ in range(NUM_ROUNDS):
            for way, reader in readers.items():
                start_s = time.perf_counter()
                list(find_pieces(text, reader))
                best_us[way] = min(best_us[way], (time.perf_counter() - start_s) * 1e6)
        print(f"{name}: " + ", ".join(f"{way} {took_us:.0f} us" for way, took_us in best_us.items()))


if __name__ == "__main__":
    main()
