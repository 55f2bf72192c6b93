"""A GGUF in memory, and its words: text to tokens and back.

llama.cpp's vocabulary is never written to once it is loaded, and its tokenisers keep what they need on the stack, so
any thread may ask while another decodes. Source: llama.cpp, `llama-vocab.cpp` (all of it `const`).
"""

import ctypes
import os
import weakref
from pathlib import Path
from typing import Final

from llama_cpp import llama_cpp as native

from engines.llm.llama.logs import collecting_errors

_ALL_LAYERS: Final = 0x7FFFFFFF


class Gguf:
    """A file, loaded. It is freed when nobody refers to it any more, so that whoever reads words in another thread
    while the model is closed can do so to the end.

    Raises:
        RuntimeError: llama.cpp cannot use it, or not in the way that is needed here.
    """

    def __init__(self, path: Path, *, gpu_layers: int) -> None:
        self.path = path
        params = native.llama_model_default_params()
        params.n_gpu_layers = gpu_layers if gpu_layers >= 0 else _ALL_LAYERS
        native.llama_backend_init()
        with collecting_errors() as errors:
            model = native.llama_model_load_from_file(os.fsencode(path), params)
        if not model:
            raise RuntimeError(f"{path}: llama.cpp cannot load it: {''.join(errors[:1])}")
        weakref.finalize(self, native.llama_model_free, model).atexit = False  # it may still be in use by then
        self.model = model
        self.vocab = native.llama_model_get_vocab(model)
        if native.llama_model_is_recurrent(model) or native.llama_model_is_hybrid(model):
            raise RuntimeError(f"{path}: a recurrent model cannot be taken back to an earlier token, which is needed")
        if native.llama_model_has_encoder(model):
            raise RuntimeError(f"{path}: a model with an encoder cannot go on with a text, which is needed")

    @property
    def name(self) -> str:
        """The file's, which its operator chose; what stands inside is often the name of a training run."""
        return self.path.stem

    @property
    def trained_length(self) -> int:
        return native.llama_model_n_ctx_train(self.model)

    @property
    def num_tokens(self) -> int:
        """Of the vocabulary."""
        return native.llama_vocab_n_tokens(self.vocab)

    @property
    def chat_template(self) -> str:
        """Empty: it has none."""
        return (native.llama_model_chat_template(self.model, None) or b"").decode("utf-8", "replace")


class Vocabulary:
    """Any thread."""

    def __init__(self, gguf: Gguf) -> None:
        self._gguf: Gguf | None = gguf
        self.num_tokens = gguf.num_tokens
        self._pieces: dict[int, bytes] = {}
        self._ends = frozenset(
            token for token in range(gguf.num_tokens) if native.llama_vocab_is_eog(gguf.vocab, token)
        )
        self.bos = self._spelt(native.llama_vocab_bos(gguf.vocab))
        self.eos = self._spelt(native.llama_vocab_eos(gguf.vocab))
        self.adds_bos = native.llama_vocab_get_add_bos(gguf.vocab)

    def tokenise(self, text: str) -> list[int]:
        """Nothing is put in front: what a prompt begins with is the template's affair."""
        gguf = self._require()
        encoded = text.encode("utf-8", "replace")  # half a surrogate pair has no UTF-8
        room = (native.llama_token * (len(encoded) + 16))()
        count = native.llama_tokenize(gguf.vocab, encoded, len(encoded), room, len(room), False, True)
        if count < 0:
            raise RuntimeError(f"llama.cpp wants room for {-count} tokens of {len(encoded)} bytes")
        return room[:count]

    def piece(self, token: int) -> bytes:
        known = self._pieces.get(token)
        if known is None:
            known = self._pieces[token] = self._read(token)
        return known

    def is_end(self, token: int) -> bool:
        return token in self._ends

    def close(self) -> None:
        self._gguf = None

    def _read(self, token: int) -> bytes:
        gguf = self._require()
        size = 64
        while True:
            room = ctypes.create_string_buffer(size)
            count = native.llama_token_to_piece(gguf.vocab, token, room, size, 0, False)
            if count >= 0:
                return room.raw[:count]
            size = -count

    def _spelt(self, token: int) -> str:
        """A mark as templates write it."""
        if token < 0:
            return ""
        return native.llama_vocab_get_text(self._require().vocab, token).decode("utf-8", "replace")

    def _require(self) -> Gguf:
        gguf = self._gguf
        if gguf is None:
            raise RuntimeError("the model is closed")
        return gguf
