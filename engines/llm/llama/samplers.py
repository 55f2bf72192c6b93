"""How a token is drawn: llama.cpp's samplers, in the order in which llama-cpp-python chains them."""

import weakref
from collections.abc import Iterator
from typing import Final

from llama_cpp import llama_cpp as native

from engines.llm.types import Sampling

PENALTY_TOKENS: Final = 64
"""So many of the last tokens are made less likely; of the answer, the prompt's do not count.
Source: llama-cpp-python, `Llama(last_n_tokens_size=64)` and `Llama.generate`."""

_MIN_KEPT: Final = 1


class Chain:
    """Samplers of one session and what they remember. Device thread only."""

    def __init__(self, sampling: Sampling, num_tokens: int) -> None:
        self._chain = native.llama_sampler_chain_init(native.llama_sampler_chain_default_params())
        self._free = weakref.finalize(self, native.llama_sampler_free, self._chain)
        self._free.atexit = False  # the device thread may be drawing by then
        for sampler in _samplers(sampling, num_tokens):
            native.llama_sampler_chain_add(self._chain, sampler)  # which frees it with itself

    def opened(self) -> "native.llama_sampler_p":
        assert self._free.alive, "a closed sampler draws nothing"
        return self._chain

    def close(self) -> None:
        self._free()


def _samplers(sampling: Sampling, num_tokens: int) -> "Iterator[native.llama_sampler_p]":
    yield native.llama_sampler_init_penalties(num_tokens, PENALTY_TOKENS, sampling.repeat_penalty, 0.0, 0.0)
    if sampling.temperature <= 0:
        yield native.llama_sampler_init_greedy()
        return
    yield native.llama_sampler_init_top_k(sampling.top_k)
    yield native.llama_sampler_init_top_p(sampling.top_p, _MIN_KEPT)
    yield native.llama_sampler_init_temp(sampling.temperature)
    yield native.llama_sampler_init_dist(_seed(sampling.seed))


def _seed(seed: int | None) -> int:
    """llama.cpp has 32 bits, and takes the highest of them for "any"."""
    return native.LLAMA_DEFAULT_SEED if seed is None else seed % native.LLAMA_DEFAULT_SEED
