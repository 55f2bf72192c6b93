"""Chat templates: rendered as llama-cpp-python renders them, and refused in words."""

import logging
from importlib.util import find_spec
from pathlib import Path

import pytest

from engines.errors import RequestError
from engines.llm.prompts import CHATML, ChatTemplate, TemplateError, choose_template
from engines.llm.types import Message

pytestmark = pytest.mark.skipif(find_spec("llama_cpp") is None, reason="llama.cpp is not installed")

SYSTEM, USER, ASSISTANT = Message("system", "Be brief."), Message("user", "Hello"), Message("assistant", "Hi!")

ALTERNATING = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}"
    "{{ '[INST] ' + message['content'] + ' [/INST]' if message['role'] == 'user' else message['content'] + eos_token }}"
    "{% endfor %}"
)


def template(source: str = CHATML, *, adds_bos: bool = False) -> ChatTemplate:
    return ChatTemplate(source, bos="<s>", eos="</s>", adds_bos=adds_bos)


def test_chatml_is_what_it_is() -> None:
    closed = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n"
    assert template().render([SYSTEM, USER]) == closed + "<|im_start|>assistant\n"
    assert template().render([SYSTEM, USER], asks=False) == closed
    assert template().render([]) == "<|im_start|>assistant\n"


def test_what_follows_an_answer_begins_with_what_was_asked() -> None:
    """What a second turn is built on: the prompt, the answer, and then what is new."""
    asked = template().render([SYSTEM, USER])
    assert template().render([SYSTEM, USER, ASSISTANT, USER]).startswith(asked + ASSISTANT.content)


def test_content_is_data_and_no_template() -> None:
    said = "{{ 7 * 7 }} {% for %} {# no #}"
    assert said in template().render([Message("user", said)])


def test_marks_of_the_text_are_the_models() -> None:
    assert template(ALTERNATING).render([USER, ASSISTANT]) == "<s>[INST] Hello [/INST]Hi!</s>"


@pytest.mark.parametrize(
    ("source", "adds_bos", "rendered"),
    [
        ("{{ bos_token }}{{ messages[0].content }}", True, "<s>Hello"),
        ("{{ messages[0].content }}", True, "<s>Hello"),
        ("{{ messages[0].content }}", False, "Hello"),
    ],
)
def test_the_first_mark_is_added_once_where_the_model_wants_it(source: str, adds_bos: bool, rendered: str) -> None:
    assert template(source, adds_bos=adds_bos).render([USER]) == rendered


def test_what_the_template_refuses_is_the_requests_fault_and_says_why() -> None:
    with pytest.raises(RequestError, match="roles must alternate") as caught:
        template(ALTERNATING).render([SYSTEM, USER])
    assert (caught.value.param, caught.value.code) == ("messages", "invalid_request")


@pytest.mark.parametrize(
    "source",
    [
        "{{ messages[3].content }}",
        "{{ messages[0].content + 3 }}",
        "{{ 1 / (messages | length - 1) }}",
        "{{ messages.append(3) }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ range(99999999) }}",
    ],
)
def test_a_template_that_stumbles_is_a_refusal_too(source: str) -> None:
    with pytest.raises(RequestError, match="chat template"):
        template(source).render([USER])


def test_what_templates_of_the_hub_use_is_there() -> None:
    source = (
        "{%- for message in messages -%}{%- if loop.first -%}{{ message | tojson }}{%- continue -%}{%- endif -%}"
        "{% generation %}{{ message.content | trim }}{% endgeneration %}{%- endfor -%}"
        "{{ strftime_now('%Y') | length }}{{ tools is none }}"
    )
    rendered = template(source).render([Message("user", "é"), Message("user", " x ")])
    assert rendered == '{"role": "user", "content": "é"}x4True'


def test_what_is_no_template_is_refused_when_it_is_read() -> None:
    with pytest.raises(TemplateError, match=r"line 2: .*endfor"):
        template("{% for message in messages %}\n{{ message }}{% endfo %}")


# -- which one ---------------------------------------------------------------------------------------------------------


def test_the_models_own_is_used_unless_another_is_given(tmp_path: Path) -> None:
    file = tmp_path / "own.jinja"
    file.write_text("é {{ messages }}", "utf-8")
    assert choose_template("", "{{ own }}") == "{{ own }}"
    assert choose_template("{{ given }}", "{{ own }}") == "{{ given }}"
    assert choose_template(str(file), "{{ own }}") == "é {{ messages }}"


def test_a_model_that_has_none_is_read_as_chatml_and_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "tiding.llama"):
        assert choose_template("", "") == CHATML
    assert "ChatML is used" in caplog.text


@pytest.mark.parametrize("given", ["no/such/file.jinja", "/", "x" * 5000])
def test_a_file_that_is_not_there_is_refused_with_the_setting(given: str) -> None:
    with pytest.raises(TemplateError, match="TIDING_LLM_CHAT_TEMPLATE"):
        choose_template(given, "{{ own }}")
