"""The prompt of a conversation, and how it grows turn by turn without being read anew."""

from collections.abc import Sequence

import msgspec

from engines.errors import ContextTooLong, RequestError
from engines.llm.model import TextModel
from engines.llm.sequences import num_alike
from engines.llm.types import Message, Messages


class Prompt(msgspec.Struct, frozen=True):
    """What the model reads before it answers: `text` is `messages` as its template writes them, `tokens` are those of
    the text; `num_new` of them were not in the prompt before, nor in the answer to that.
    """

    messages: tuple[Message, ...]
    text: str
    tokens: Sequence[int]
    num_new: int


def first_prompt(model: TextModel, messages: Messages) -> Prompt:
    """Any thread.

    Raises:
        RequestError: the template refuses the messages.
        ContextTooLong: they leave no room for an answer.
    """
    text = model.render(messages)
    tokens = model.tokenise(text)
    return _fitting(model, Prompt(tuple(messages), text, tokens, len(tokens)))


def next_prompt(model: TextModel, prompt: Prompt, drawn: Sequence[int], answer: str, messages: Messages) -> Prompt:
    """What comes behind an answer of which the client has got so much, drawn as these tokens. Where the template goes
    on from it as it stands, its tokens are kept as they are: other ones for the same text would not be in the cache.
    Any thread. Raises as `first_prompt`.
    """
    answered = (Message("assistant", answer),) if answer else ()
    turns = (*prompt.messages, *answered, *messages)
    text = model.render(turns)
    so_far = prompt.text + answer
    if text.startswith(so_far):
        kept, rest = _kept(model, drawn, answer)
        new = model.tokenise(rest + text[len(so_far) :])
        return _fitting(model, Prompt(turns, text, [*prompt.tokens, *kept, *new], len(new)))
    tokens = model.tokenise(text)
    num_new = len(tokens) - num_alike([*prompt.tokens, *drawn], tokens)
    return _fitting(model, Prompt(turns, text, tokens, num_new))


def _kept(model: TextModel, drawn: Sequence[int], answer: str) -> tuple[Sequence[int], str]:
    """The tokens that write the beginning of an answer, and what they leave of it: part of a token that was cut."""
    text, end, kept, kept_end = answer.encode(), 0, 0, 0
    for num_tokens, token in enumerate(drawn, 1):
        piece = model.piece(token)
        if not text.startswith(piece, end):
            break
        end += len(piece)
        if _is_between_characters(text, end):
            kept, kept_end = num_tokens, end
    return drawn[:kept], text[kept_end:].decode()


def _is_between_characters(text: bytes, index: int) -> bool:
    return index == len(text) or text[index] & 0xC0 != 0x80


def _fitting(model: TextModel, prompt: Prompt) -> Prompt:
    if not prompt.tokens:
        raise RequestError("the messages hold nothing to answer", param="messages")
    if len(prompt.tokens) + 1 > model.context_length:
        raise ContextTooLong(len(prompt.tokens), model.context_length)
    return prompt
