"""The cells, and the step: one context of llama.cpp, whose sequences are our slots."""

import weakref
from collections.abc import Sequence
from typing import Final

from llama_cpp import llama_cpp as native

from engines.llm.llama import saved
from engines.llm.llama.batch import Batch
from engines.llm.llama.logs import collecting_errors, expecting_refusal
from engines.llm.llama.samplers import Chain
from engines.llm.llama.threads import choose_threads
from engines.llm.llama.vocabulary import Gguf
from engines.llm.model import Run
from engines.llm.options import MAX_SLOTS, FlashAttention, KvType, LlamaOptions

_NO_ROOM: Final = 1
"""Nothing was added. Source: llama.cpp, `llama.h` at `llama_decode`; `llama_kv_cache::prepare` places all of a batch
before any of it is kept."""

_KV_TYPES: Final[dict[KvType, int]] = {
    "f32": native.GGML_TYPE_F32,
    "f16": native.GGML_TYPE_F16,
    "q8_0": native.GGML_TYPE_Q8_0,
    "q5_1": native.GGML_TYPE_Q5_1,
    "q5_0": native.GGML_TYPE_Q5_0,
    "q4_1": native.GGML_TYPE_Q4_1,
    "q4_0": native.GGML_TYPE_Q4_0,
}
_FLASH: Final[dict[FlashAttention, int]] = {
    "auto": native.LLAMA_FLASH_ATTN_TYPE_AUTO,
    "on": native.LLAMA_FLASH_ATTN_TYPE_ENABLED,
    "off": native.LLAMA_FLASH_ATTN_TYPE_DISABLED,
}


class Context:
    """Device thread only.

    Raises:
        RuntimeError: there is not the memory, or the options do not go together.
    """

    def __init__(self, gguf: Gguf, options: LlamaOptions) -> None:
        if not 0 < options.slots <= MAX_SLOTS:
            raise RuntimeError(f"{options.slots} slots: llama.cpp can have 1 to {MAX_SLOTS}")
        with collecting_errors() as errors:
            context = native.llama_init_from_model(gguf.model, context_params(options))
        if not context:
            raise RuntimeError(f"{gguf.path}: llama.cpp cannot make room for it: {''.join(errors[:1])}")
        self._context = context
        self._free = weakref.finalize(self, native.llama_free, context)
        self._free.atexit = False  # the device thread may be in a step by then
        self._gguf = gguf  # lives at least as long as the context
        self._memory = native.llama_get_memory(context)
        self._batch = Batch(native.llama_n_batch(context))
        self._places: dict[int, int] = {}
        self.num_cells = native.llama_n_ctx(context)
        self.batch_size = self._batch.size

    def decode(self, runs: Sequence[Run]) -> bool:
        places = self._batch.fill(runs)
        status = native.llama_decode(self._opened(), self._batch.native)
        if status == _NO_ROOM:
            return False
        if status:
            raise RuntimeError(f"llama.cpp has failed in a step, with {status}; the log says why")
        self._places = places
        return True

    def draw(self, slot: int, chain: Chain) -> int:
        return native.llama_sampler_sample(chain.opened(), self._opened(), self._places[slot])

    def truncate(self, slot: int, length: int) -> None:
        self._opened()
        if not native.llama_memory_seq_rm(self._memory, slot, length, -1):
            raise RuntimeError("this model's cache cannot be cut at a token")

    def copy(self, source: int, target: int, length: int) -> None:
        self._opened()
        native.llama_memory_seq_cp(self._memory, source, target, 0, length)

    def save(self, slot: int) -> bytes:
        return saved.save(self._opened(), slot)

    def load(self, slot: int, data: bytes) -> bool:
        with expecting_refusal():
            return saved.load(self._opened(), slot, data)

    def close(self) -> None:
        self._free()

    def _opened(self) -> native.llama_context_p:
        """llama.cpp would end the process."""
        assert self._free.alive, "a closed model is not used"
        return self._context


def context_params(options: LlamaOptions) -> native.llama_context_params:
    """What a context is made with."""
    threads = choose_threads(options.threads)
    params = native.llama_context_default_params()
    params.n_ctx = options.context
    batch_size = options.batch_size or _best_batch_size(options)
    params.n_batch = params.n_ubatch = max(options.slots, min(batch_size, options.context))
    params.n_seq_max = options.slots
    params.n_threads, params.n_threads_batch = threads.one_token, threads.batch
    params.type_k = params.type_v = _KV_TYPES[options.kv_type]
    params.flash_attn_type = _FLASH[options.flash_attention]
    params.kv_unified = True  # slots share cells; without it, to copy a part of a sequence ends the process
    return params


def _best_batch_size(options: LlamaOptions) -> int:
    """The smallest that reads prompts as fast as larger ones do: whoever comes in the middle of a step waits for it.

    Measured with SmolLM2-135M on two cores, in ms a token of a prompt: 3.3 with 16, 2.9 with 48, 2.6 with 64, 2.4 with
    128, 2.5 with 512, where a step takes 1.3 s. A GPU is kept busy by no fewer than llama.cpp's own 512.
    """
    return 128 if computes_on_cpu(options) else 512


def computes_on_cpu(options: LlamaOptions) -> bool:
    """Whether no layer is on a GPU."""
    return not (options.gpu_layers and native.llama_supports_gpu_offload())
