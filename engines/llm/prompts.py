"""Conversations as a model was trained to read them: its chat template, in Jinja's sandbox."""

import logging
from pathlib import Path
from typing import Final

from engines.errors import RequestError
from engines.llm.types import Messages

CHATML: Final = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""What a model most likely knows that does not say. Source: OpenAI, Chat Markup Language; llama.cpp chooses it, too."""

logger = logging.getLogger("tiding.llama")


class TemplateError(Exception):
    """A chat template that cannot be used. The message says why."""


class ChatTemplate:
    """One template, rendered as llama-cpp-python renders it: by its own class. Any thread.

    `bos` and `eos` are the marks at the beginning and the end of a text, as the template writes them; `adds_bos`: the
    model reads no text without the first, so that it is added where the template leaves it out.

    Raises:
        TemplateError: it is not a template.
    """

    def __init__(self, source: str, *, bos: str, eos: str, adds_bos: bool = False) -> None:
        from jinja2 import TemplateSyntaxError
        from llama_cpp.llama_chat_format import Jinja2ChatFormatter

        def formatter(*, asks: bool) -> Jinja2ChatFormatter:
            return Jinja2ChatFormatter(source, eos_token=eos, bos_token=bos, add_generation_prompt=asks)

        try:
            self._formatters = {asks: formatter(asks=asks) for asks in (True, False)}
        except TemplateSyntaxError as error:
            raise TemplateError(f"the chat template is not one: line {error.lineno}: {error.message}") from error
        self._begins_with = bos if adds_bos else ""

    def render(self, messages: Messages, *, asks: bool = True) -> str:
        """A conversation; `asks`: with the beginning of the answer behind it.

        Raises:
            RequestError: the template refuses it.
        """
        from jinja2 import TemplateError as RenderError

        turns = [{"role": message.role, "content": message.content} for message in messages]
        try:
            text = self._formatters[asks](messages=turns).prompt
        except (RenderError, ValueError, TypeError, LookupError, ArithmeticError) as error:
            raise RequestError(
                f"the model's chat template refuses these messages: {error}", param="messages"
            ) from error
        return text if text.startswith(self._begins_with) else self._begins_with + text


def choose_template(given: str, own: str) -> str:
    """The one that a setting gives, as text or as the path of a file; else the model's own; else ChatML.

    Raises:
        TemplateError: there is no such file.
    """
    if not given:
        if not own:
            logger.warning("the model has no chat template: ChatML is used; TIDING_LLM_CHAT_TEMPLATE can give its own")
        return own or CHATML
    if "{{" in given or "{%" in given:
        return given
    try:
        return Path(given).expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateError(f"TIDING_LLM_CHAT_TEMPLATE: {given!r} is neither a template nor a file of one") from error
