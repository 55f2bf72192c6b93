"""Messages of the socket, without a socket: what is understood, and what is said of what is not."""

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.llm_messages import (
    ACTIONS,
    MAX_MESSAGE_BYTES,
    ContinueStream,
    NotFollowed,
    Ping,
    StartStream,
    decode,
    token_chunk,
    whole_chunk,
)
from app.turns import messages_of
from engines.llm.types import ChunkEnd, Message, Pause, Sampling

ASKING = {"action": "start_stream", "stream_id": "a", "messages": [{"role": "user", "content": "Hello."}]}

MALFORMED: dict[str, str | bytes] = {
    "nothing": "",
    "half an object": "{",
    "not JSON": "hello",
    "bytes that are not text": b"\xff\xfe\x00\x01",
    "two documents": '{"action": "ping"} {}',
    "half a surrogate pair": '{"action": "ping", "more": "\\ud83d"}',
    "not a number": '{"action": "ping", "more": NaN}',
    "an object nested too deep": '{"action": "ping", "more": ' + "[" * 50_000 + "]" * 50_000 + "}",
}

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"stream_id": 5}, "$.stream_id"),
    ({"stream_id": ["a"]}, "$.stream_id"),
    ({"stream_id": "x" * 257}, "$.stream_id"),
    ({"messages": None}, "$.messages"),
    ({"messages": []}, "$.messages"),
    ({"messages": "Hello."}, "$.messages"),
    ({"messages": [{"role": "user"}]}, "content"),
    ({"messages": [{"role": "", "content": "x"}]}, "role"),
    ({"messages": [{"role": "user", "content": 5}]}, "content"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "url": "x"}]}]}, "content"),
    ({"pause": 5}, "$.pause"),
    ({"pause": {"max_tokens": 0}}, "$.pause.max_tokens"),
    ({"pause": {"max_tokens": "ten"}}, "$.pause.max_tokens"),
    ({"pause": {"max_tokens": 10**30}}, "$.pause.max_tokens"),
    ({"pause": {"sentence_boundary": "yes"}}, "$.pause.sentence_boundary"),
    ({"temperature": -0.1}, "$.temperature"),
    ({"temperature": 2.1}, "$.temperature"),
    ({"temperature": "warm"}, "$.temperature"),
    ({"top_p": 1.1}, "$.top_p"),
    ({"top_k": -1}, "$.top_k"),
    ({"seed": 2**63}, "$.seed"),
    ({"seed": "lucky"}, "$.seed"),
    ({"stop": ""}, "$.stop"),
    ({"stop": ["."] * 17}, "$.stop"),
    ({"stop": [""]}, "$.stop"),
    ({"stop": 5}, "$.stop"),
    ({"stream_tokens": 1}, "$.stream_tokens"),
    ({"max_total_tokens": 0}, "$.max_total_tokens"),
]


def refusal(data: str | bytes) -> NotFollowed:
    with pytest.raises(NotFollowed) as caught:
        decode(data)
    return caught.value


def test_a_start_without_more_has_the_defaults_of_the_protocol() -> None:
    start = decode(json.dumps(ASKING))
    assert isinstance(start, StartStream)
    assert start.sampling == Sampling(temperature=0.7, top_p=0.95, top_k=40, repeat_penalty=1.1, seed=None)
    assert (start.pause, start.stream_tokens, start.stop_words, start.max_total_tokens) == (None, False, (), None)


def test_a_null_is_as_if_the_field_were_left_out() -> None:
    names = ("pause", "temperature", "top_p", "top_k", "seed", "stop", "max_total_tokens")
    start = decode(json.dumps(ASKING | dict.fromkeys(names)))
    assert isinstance(start, StartStream)
    assert start.sampling == Sampling()
    assert (start.pause, start.stop_words, start.max_total_tokens) == (None, (), None)


@pytest.mark.parametrize(
    ("pause", "wanted"),
    [
        ({}, Pause()),
        ({"max_tokens": 3}, Pause(3)),
        ({"sentence_boundary": True}, Pause(at_sentence=True)),
        ({"max_tokens": 3, "sentence_boundary": True}, Pause(3, at_sentence=True)),
        ({"max_tokens": None, "mood": "merry"}, Pause()),
    ],
)
def test_where_a_chunk_ends(pause: dict[str, Any], wanted: Pause) -> None:
    going_on = decode(json.dumps({"action": "continue_stream", "stream_id": "a", "pause": pause}))
    assert isinstance(going_on, ContinueStream)
    assert going_on.pause is not None
    assert going_on.pause.wanted == wanted


def test_a_chunk_of_a_sentence_has_at_most_200_tokens_and_one_to_the_end_500() -> None:
    assert (Pause().limit, Pause(at_sentence=True).limit, Pause(7, at_sentence=True).limit) == (500, 200, 7)


def test_stop_may_be_a_word_or_several() -> None:
    for stop, words in (("\n", ("\n",)), ([], ()), (["a", "b"], ("a", "b"))):
        start = decode(json.dumps(ASKING | {"stop": stop}))
        assert isinstance(start, StartStream)
        assert tuple(start.stop_words) == words


def test_parts_of_a_turn_are_joined_and_a_developer_is_the_system() -> None:
    parts = [{"type": "text", "text": "Hello"}, {"type": "text", "text": " there."}]
    turns = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts}]
    start = decode(json.dumps(ASKING | {"messages": turns}))
    assert isinstance(start, StartStream)
    assert messages_of(start.messages) == [Message("system", "Be brief."), Message("user", "Hello there.")]


def test_fields_that_are_not_known_are_ignored_and_json_may_come_in_bytes() -> None:
    assert decode(b'{"action": "ping", "stream_id": 5, "mood": {}}') == Ping()


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_not_json_is_said_to_be_malformed(data: str | bytes) -> None:
    assert refusal(data).code == "malformed_json"


@pytest.mark.parametrize("document", ["[]", "null", "5", '"ping"', "[" * 100_000])
def test_what_is_no_object_is_refused(document: str) -> None:
    assert refusal(document).code in ("invalid_field", "malformed_json")


@pytest.mark.parametrize("action", [None, "", "sing", "PING", 5, ["ping"], {"ping": 1}, "x" * 10_000])
def test_an_unknown_action_is_named(action: object) -> None:
    refused = refusal(json.dumps({"action": action, "stream_id": "a"}))
    assert (refused.code, refused.stream_id) == ("unknown_action", "a")
    assert str(refused).startswith(f"Unknown action: {action}"[:116])
    assert len(str(refused)) < 120


def test_a_message_without_any_action_is_refused() -> None:
    assert refusal('{"stream_id": "a"}').code == "unknown_action"


@pytest.mark.parametrize("action", [action for action in ACTIONS if action != "ping"])
@pytest.mark.parametrize("fields", [{}, {"stream_id": None}, {"stream_id": ""}])
def test_an_action_without_a_stream_id_is_refused_in_the_words_of_the_protocol(
    action: str, fields: dict[str, Any]
) -> None:
    refused = refusal(json.dumps({"action": action, **fields}))
    assert (str(refused), refused.code, refused.stream_id) == ("stream_id required", "stream_id_required", None)


@pytest.mark.parametrize(("fields", "place"), WRONG, ids=[json.dumps(fields)[:50] for fields, _ in WRONG])
def test_a_wrong_field_is_named_and_so_is_the_stream(fields: dict[str, Any], place: str) -> None:
    refused = refusal(json.dumps(ASKING | fields))
    assert refused.code == "invalid_field"
    assert place in str(refused)
    assert refused.stream_id == ("a" if "stream_id" not in fields else None)


def test_a_message_that_is_too_long_is_refused_unread() -> None:
    refused = refusal("[" * (MAX_MESSAGE_BYTES + 1))
    assert refused.code == "too_large"
    assert str(MAX_MESSAGE_BYTES) in str(refused)


LEAVES = st.none() | st.booleans() | st.floats() | st.text()
DOCUMENTS = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@pytest.mark.slow
@given(DOCUMENTS)
def test_any_json_is_understood_or_refused(document: object) -> None:
    for wrapped in (document, {"action": "start_stream", "stream_id": document}, ASKING | {"pause": document}):
        with suppress(NotFollowed):
            decode(json.dumps(wrapped))


@given(st.text() | st.binary())
def test_any_text_is_understood_or_refused(data: str | bytes) -> None:
    with suppress(NotFollowed):
        decode(data)


# -- what is sent ------------------------------------------------------------------------------------------------------


def sent(message: msgspec.Struct) -> dict[str, Any]:
    return json.loads(msgspec.json.encode(message))


def test_the_end_of_a_chunk_in_token_mode_has_the_fields_of_the_protocol() -> None:
    end = ChunkEnd("max_tokens", "Hello", 2, 3.0, 4.0, is_done=False)
    fields = {"stream_id": "a", "reason": "max_tokens", "text": "Hello", "tokens": 2, "ttft_ms": 3.0, "elapsed_ms": 4.0}
    assert sent(token_chunk("a", end)) == {"type": "paused"} | fields
    assert sent(token_chunk("a", msgspec.structs.replace(end, is_done=True))) == {"type": "done"} | fields


def test_a_whole_chunk_has_the_fields_of_the_protocol_and_the_first_one_its_status() -> None:
    end = ChunkEnd("eos", " there.", 2, 3.0, 4.0, is_done=True)
    fields = {
        "stream_id": "a", "text": " there.", "tokens": 2, "paused": False, "reason": "eos", "done": True,
        "ttft_ms": 3.0, "full_text": "Hello there.",
    }  # fmt: skip
    assert sent(whole_chunk("a", end, "Hello there.", is_first=False)) == fields
    assert sent(whole_chunk("a", end, "Hello there.", is_first=True)) == fields | {"status": "started"}


def test_a_chunk_without_tokens_has_waited_0_ms_for_the_first() -> None:
    end = ChunkEnd("already_done", "", 0, None, 0.0, is_done=True)
    assert sent(token_chunk("a", end))["ttft_ms"] == 0
    assert sent(whole_chunk("a", end, "", is_first=False))["ttft_ms"] == 0
