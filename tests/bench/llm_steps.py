"""What a step of llama.cpp takes: `python -m tests.bench.llm_steps`.

On the embedded model, with flash attention and without: a token of a prompt by the size of its piece and by what stands
before it, and a lone writer beside eight who are paused. The page on pauses quotes it.
"""

import time
from statistics import median
from typing import Final

from engines.llm.llama import load
from engines.llm.model import Run
from engines.llm.options import FlashAttention, LlamaOptions

NUM_TIMES: Final = 3
BEHIND: Final = 1800
PIECES: Final = (16, 64, 128)
NUM_PAUSED: Final = 8
PAUSED_TOKENS: Final = 800
MODES: Final[tuple[FlashAttention, ...]] = ("on", "off")


def measure(flash_attention: FlashAttention) -> None:
    model = load(LlamaOptions(flash_attention=flash_attention))()
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

    for behind in (0, BEHIND):
        read(0, 0, behind)
        tokens = ", ".join(f"{size}: {took_ms(0, behind, size) / size:.1f}" for size in PIECES)
        print(f"flash attention {flash_attention}, behind {behind}: ms a token in pieces of {tokens}")
    model.truncate(0, 0)
    for slot in range(1, NUM_PAUSED + 1):
        read(slot, 0, PAUSED_TOKENS)
    read(0, 0, 300)
    print(f"flash attention {flash_attention}: a lone writer beside {NUM_PAUSED} paused: {took_ms(0, 300, 1):.1f} ms")
    model.close()


if __name__ == "__main__":
    for mode in MODES:
        measure(mode)
