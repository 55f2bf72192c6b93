"""What an operator may choose about the model that writes. Imports nothing heavy: settings are read before it is."""

from typing import Final, Literal, TypeAlias

import msgspec

MAX_SLOTS: Final = 256
"""Source: llama.cpp, `LLAMA_MAX_SEQ`."""

KvType: TypeAlias = Literal["f32", "f16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"]
"""How keys and values are kept in the cells."""

FlashAttention: TypeAlias = Literal["auto", "on", "off"]


class LlamaOptions(msgspec.Struct, frozen=True):
    """How to load a GGUF.

    `model` is its path; empty is the embedded one. `gpu_layers` go to the GPU where llama.cpp was built for one; -1 is
    all of them. `context` is the number of cells, one for each token, that all `slots` share. `threads` 0: what was
    measured to be best on as many cores as this process may use. `chat_template` is a Jinja template, or the path of
    one; empty is the model's own. `sha256` is what the file has to have; empty: any. `batch_size` is the most tokens of
    one step, 0: what was measured to be best for what computes. With `read_aside`, on a CPU, long prompts are read in a
    context of their own where others write, which takes as much memory as the cells once more.
    """

    model: str = ""
    gpu_layers: int = -1
    context: int = 8192
    slots: int = 16
    threads: int = 0
    kv_type: KvType = "f16"
    flash_attention: FlashAttention = "auto"
    chat_template: str = ""
    sha256: str = ""
    batch_size: int = 0
    read_aside: bool = True
