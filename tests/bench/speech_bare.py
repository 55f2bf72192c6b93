"""The bare model: hibari called directly, by one caller or by several threads at once. Runs in a process of its own."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from hibari import Hibari


def times_ms(texts: Sequence[str], seeds: Sequence[int]) -> list[float]:
    """How long each caller waits for its whole text, when all call at the same instant."""
    bare, start = _bare(), threading.Barrier(len(texts))

    def call(text: str, seed: int) -> float:
        start.wait()
        began_s = time.perf_counter()
        bare(text, seed=seed)
        return (time.perf_counter() - began_s) * 1000

    with ThreadPoolExecutor(len(texts)) as callers:
        return list(callers.map(call, texts, seeds))


@cache
def _bare() -> Hibari:
    """Loaded once a process, and warm."""
    bare = Hibari()
    for text in ("Hello.", "The quick brown fox jumps over 42 lazy dogs, and is gone."):
        bare(text, seed=0)
    return bare
