"""A long prompt on its way into the cache: read in a context of its own, while the other one writes."""

import weakref
from collections.abc import Callable, Sequence
from typing import Final

from llama_cpp import llama_cpp as native

from engines.llm.llama import saved
from engines.llm.llama.batch import Batch
from engines.llm.llama.vocabulary import Gguf
from engines.llm.model import Run

_OPERATIONS: Final = 4
"""So many are computed between two breaths, of some 900 in a batch: what others wait for is the longest of them, for
18 to 24 ms with SmolLM2-135M behind 1 800 tokens on two slow cores, and for 40 with 16 operations. What a breath costs
does not show. Printed by `python -m tests.bench.llm_steps`."""


class LlamaReader:
    """The contract is `engines.llm.model.Reader`. Device thread only.

    llama.cpp asks before each operation of a batch whether it shall stop behind it and call: that is where others are
    let write, in their own context, on the same threads. `params` are those of the other context.

    Raises:
        RuntimeError: there is not the memory.
    """

    def __init__(self, gguf: Gguf, params: "native.llama_context_params") -> None:
        self._num_asked = 0
        self._breathe: Callable[[], None] = _do_nothing
        self._problem: BaseException | None = None
        self._callback = native.ggml_backend_sched_eval_callback(self._between)
        params.cb_eval = self._callback
        params.n_seq_max = 1
        context = native.llama_init_from_model(gguf.model, params)
        if not context:
            raise RuntimeError(f"{gguf.path}: llama.cpp cannot make room for prompts beside the cache")
        self._context = context
        self._free = weakref.finalize(self, native.llama_free, context)
        self._free.atexit = False  # the device thread may be in a batch by then
        self._gguf = gguf  # lives at least as long as the context
        self._memory = native.llama_get_memory(context)
        self._batch = Batch(native.llama_n_batch(context))

    def begin(self, data: bytes | None) -> None:
        self._truncate(0)
        if data is not None and not saved.load(self._opened(), 0, data):
            raise RuntimeError("llama.cpp has not taken back what it saved; the log says why")

    def read(self, start: int, tokens: Sequence[int], breathe: Callable[[], None]) -> None:
        self._truncate(start)
        self._batch.fill([Run(0, start, tokens, draws=False)])
        self._breathe = breathe
        try:
            status = native.llama_decode(self._opened(), self._batch.native)
            native.llama_synchronize(self._opened())
        finally:
            self._breathe = _do_nothing
        if self._problem is not None:
            problem, self._problem = self._problem, None
            raise problem
        if status:
            raise RuntimeError(f"llama.cpp has failed in a prompt, with {status}; the log says why")

    def save(self, length: int) -> bytes:
        self._truncate(length)
        return saved.save(self._opened(), 0)

    def close(self) -> None:
        self._free()

    def _between(self, _: object, asks: bool, __: object) -> bool:
        """Called by llama.cpp, which knows no exceptions: False ends the batch."""
        if asks:
            self._num_asked += 1
            return self._num_asked % _OPERATIONS == 0
        try:
            self._breathe()
        except BaseException as problem:
            self._problem = problem
        return self._problem is None

    def _truncate(self, length: int) -> None:
        self._opened()
        if not native.llama_memory_seq_rm(self._memory, 0, length, -1):
            raise RuntimeError("this model's cache cannot be cut at a token")

    def _opened(self) -> "native.llama_context_p":
        """llama.cpp would end the process."""
        assert self._free.alive, "a closed reader reads nothing"
        return self._context


def _do_nothing() -> None:
    pass
