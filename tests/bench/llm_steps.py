"""What a step of llama.cpp takes: `python -m tests.bench.llm_steps [FILE.gguf ...]`.

On the embedded model or on those named, one after the other, with flash attention and without: a token of a prompt by
the size of its piece and by what stands before it, eight who write, a lone writer beside eight who are paused, and what
others wait for while a batch is read aside: the longest stretch between two breaths. The pages on pauses and on other
models quote it.
"""

import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import Final

from engines.llm.llama import load, reader
from engines.llm.model import Reader, Run
from engines.llm.options import FlashAttention, LlamaOptions

NUM_TIMES: Final = 3
BEHIND: Final = 1800
PIECES: Final = (16, 64, 128)
NUM_WRITERS: Final = 8
WRITER_TOKENS: Final = 60
NUM_PAUSED: Final = 8
PAUSED_TOKENS: Final = 800
OPERATIONS: Final = (16, 4)
MODES: Final[tuple[FlashAttention, ...]] = ("on", "off")


def measure(path: str, flash_attention: FlashAttention) -> None:
    model = load(LlamaOptions(path, flash_attention=flash_attention))()
    print(f"{model.name}, flash attention {flash_attention}")
    words = model.tokenise("The keeper wrote down the weather, the ships and the birds of every day. " * 200)

    def read(slot: int, start: int, end: int) -> None:
        for at in range(start, end, model.batch_size):
            model.decode([Run(slot, at, words[at : min(at + model.batch_size, end)], draws=False)])

    def took_ms(slot: int, start: int, num_tokens: int) -> float:
        times: list[float] = []
        for _ in range(NUM_TIMES):
            model.truncate(slot, start)
            began_s = time.perf_counter()
            read(slot, start, start + num_tokens)
            times.append(1000 * (time.perf_counter() - began_s))
        model.truncate(slot, start)
        return median(times)

    def step_ms(num_writers: int, start: int) -> float:
        times: list[float] = []
        for _ in range(NUM_TIMES * 5):
            began_s = time.perf_counter()
            model.decode([Run(slot, start, words[start : start + 1], draws=True) for slot in range(num_writers)])
            times.append(1000 * (time.perf_counter() - began_s))
            for slot in range(num_writers):
                model.truncate(slot, start)
        return median(times)

    for behind in (0, BEHIND):
        read(0, 0, behind)
        tokens = ", ".join(f"{size}: {took_ms(0, behind, size) / size:.1f}" for size in PIECES)
        print(f"  behind {behind}: ms a token in pieces of {tokens}")
    model.truncate(0, 0)
    for slot in range(NUM_WRITERS):
        read(slot, 0, WRITER_TOKENS)
    for num_writers in (1, NUM_WRITERS):
        print(f"  a step of {num_writers} who write: {step_ms(num_writers, WRITER_TOKENS):.1f} ms")
    for slot in range(NUM_WRITERS):
        model.truncate(slot, 0)
    for slot in range(1, NUM_PAUSED + 1):
        read(slot, 0, PAUSED_TOKENS)
    read(0, 0, 300)
    print(f"  a lone writer beside {NUM_PAUSED} paused: {took_ms(0, 300, 1):.1f} ms")
    if model.reader is not None:
        for num_operations in OPERATIONS:
            reader._OPERATIONS = num_operations  # type: ignore[misc]
            print(
                f"  aside, a breath every {num_operations} operations: {stretch_ms(model.reader, words):.1f} ms at most"
            )
    model.close()


def stretch_ms(aside: Reader, words: Sequence[int]) -> float:
    """Between two breaths of the batch behind `BEHIND` tokens."""
    aside.begin(None)
    for at in range(0, BEHIND, PIECES[-1]):
        stamps: list[float] = []
        aside.read(at, words[at : at + PIECES[-1]], lambda stamps=stamps: stamps.append(time.perf_counter()))
    return 1000 * max(later - one for one, later in pairwise(stamps))


if __name__ == "__main__":
    for file in sys.argv[1:] or [""]:
        for mode in MODES:
            measure(file, mode)
