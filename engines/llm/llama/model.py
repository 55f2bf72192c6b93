"""A GGUF as a text model."""

from collections.abc import Sequence
from pathlib import Path

from engines.llm.llama.context import Context, computes_on_cpu, context_params
from engines.llm.llama.reader import LlamaReader
from engines.llm.llama.samplers import Chain
from engines.llm.llama.vocabulary import Gguf, Vocabulary
from engines.llm.model import Run, Sampler
from engines.llm.options import LlamaOptions
from engines.llm.prompts import ChatTemplate, choose_template
from engines.llm.types import Messages, Sampling


class LlamaText:
    """The contract is `engines.llm.model.TextModel`.

    Raises:
        TemplateError: the chat template that was asked for cannot be used.
        RuntimeError: llama.cpp cannot load the file, or cannot make room for what the options ask.
    """

    def __init__(self, path: Path, options: LlamaOptions) -> None:
        gguf = Gguf(path, gpu_layers=options.gpu_layers)
        words = self._words = Vocabulary(gguf)
        template = choose_template(options.chat_template, gguf.chat_template)
        self._template = ChatTemplate(template, bos=words.bos, eos=words.eos, adds_bos=words.adds_bos)
        self._context = Context(gguf, options)
        self.reader = self._make_reader(gguf, options)
        self.name = gguf.name
        self.num_slots = options.slots
        self.num_cells = self._context.num_cells
        self.context_length = min(gguf.trained_length, self.num_cells)
        self.batch_size = self._context.batch_size
        self._warm_up()

    # -- text: any thread ----------------------------------------------------------------------------------------------

    def render(self, messages: Messages, *, asks: bool = True) -> str:
        return self._template.render(messages, asks=asks)

    def tokenise(self, text: str) -> list[int]:
        return self._words.tokenise(text)

    def piece(self, token: int) -> bytes:
        return self._words.piece(token)

    def is_end(self, token: int) -> bool:
        return self._words.is_end(token)

    # -- the cache and the step ----------------------------------------------------------------------------------------

    def decode(self, runs: Sequence[Run]) -> bool:
        return self._context.decode(runs)

    def draw(self, slot: int, sampler: Sampler) -> int:
        assert isinstance(sampler, Chain), "a sampler that this model has made"
        return self._context.draw(slot, sampler)

    def make_sampler(self, sampling: Sampling) -> Sampler:
        return Chain(sampling, self._words.num_tokens)

    def truncate(self, slot: int, length: int) -> None:
        self._context.truncate(slot, length)

    def copy(self, source: int, target: int, length: int) -> None:
        self._context.copy(source, target, length)

    def save(self, slot: int) -> bytes:
        return self._context.save(slot)

    def load(self, slot: int, saved: bytes) -> bool:
        return self._context.load(slot, saved)

    def close(self) -> None:
        if self.reader is not None:
            self.reader.close()
        self._context.close()
        self._words.close()

    @staticmethod
    def _make_reader(gguf: Gguf, options: LlamaOptions) -> LlamaReader | None:
        """A GPU reads a prompt sooner than it is worth to look up from it."""
        is_wanted = options.read_aside and computes_on_cpu(options)
        return LlamaReader(gguf, context_params(options)) if is_wanted else None

    def _warm_up(self) -> None:
        """The first steps bring the weights in from the disk and start the threads."""
        for num_tokens in (self.batch_size // 8 or 1, 1):
            if not self.decode([Run(0, 0, [0] * num_tokens, draws=True)]):
                raise RuntimeError(f"{self.num_cells} cells have no room for {num_tokens} tokens")
            self.truncate(0, 0)
