"""`/metrics` of the LLM server adds up, and its log has a line for each stream and chat."""

import json
from typing import Any

import httpx
import pytest

from app.settings import LlmSettings
from engines.fake import Gate
from engines.llm.fake import FakeText
from tests.llm.served import tell
from tests.llm.talking import Message, Served, serve_here, talk
from tests.running import until
from tests.scraping import Growth, scrape

PATH = "/v1/chat/completions"
STORY = [{"role": "user", "content": "Tell me a story about a fox and a river, in five sentences."}]


async def chat(served: Served, messages: list[Message], **fields: Any) -> Message:
    async with httpx.AsyncClient(base_url=served.url, timeout=60) as client:
        body = {"messages": messages, "temperature": 0} | fields
        response = await client.post(PATH, json=body, headers={"X-Request-Id": "r-chat"})
    assert response.status_code == 200, response.text
    return response.json()


async def test_tokens_are_those_that_the_answers_say(chat_server: Served) -> None:
    before = await scrape(chat_server.url)
    first = await chat(chat_server, STORY, max_tokens=12)
    said = first["choices"][0]["message"]
    second = await chat(chat_server, [*STORY, said, {"role": "user", "content": "Shorter, please."}], max_tokens=5)
    growth = Growth(before, await scrape(chat_server.url))
    used = [answer["usage"] for answer in (first, second)]
    prompt = sum(usage["prompt_tokens"] for usage in used)
    cached = sum(usage["prompt_tokens_details"]["cached_tokens"] for usage in used)
    assert cached > 0
    assert growth.of("tiding_llm_prompt_tokens_cached_total", mode="chat") == cached
    assert growth.of("tiding_llm_prompt_tokens_evaluated_total", mode="chat") == prompt - cached
    assert growth.of("tiding_llm_tokens_generated_total") == sum(usage["completion_tokens"] for usage in used)
    assert growth.of("tiding_llm_streams_total", mode="chat", outcome="done") == 2
    assert growth.of("tiding_llm_first_token_seconds_count", mode="chat", chunk="first") == 2


async def test_a_socket_counts_its_chunks_and_what_it_ends(served: Served) -> None:
    before = await scrape(served.url)
    async with talk(served) as talker:
        one = await talker.start(messages=STORY, temperature=0, pause={"max_tokens": 5})
        two = await talker.go_on(pause={"max_tokens": 4})
        await talker.end()
    await served.until_idle()
    growth = Growth(before, await scrape(served.url))
    assert growth.of("tiding_llm_tokens_generated_total") == one["tokens"] + two["tokens"] == 9
    for chunk in ("first", "later"):
        assert growth.of("tiding_llm_first_token_seconds_count", mode="socket", chunk=chunk) == 1
    assert growth.of("tiding_llm_streams_total", mode="socket", outcome="done") == 1
    assert growth.of("tiding_llm_prompt_tokens_evaluated_total", mode="socket") > 5
    assert growth.of("tiding_llm_step_rows_total") >= growth.of("tiding_llm_step_duration_seconds_count") >= 9


async def test_who_hangs_up_in_a_chunk_has_cancelled(served: Served) -> None:
    before = await scrape(served.url)
    async with talk(served) as talker:
        await talker.send("start_stream", messages=STORY, stream_tokens=True, pause={"max_tokens": 500})
        await talker.next()
        talker.socket.transport.abort()
    await served.until_idle()
    growth = Growth(before, await scrape(served.url))
    outcomes = {outcome: growth.of("tiding_llm_streams_total", outcome=outcome) for outcome in ("done", "cancelled")}
    # The fake may have told all of its story before the socket was seen to break.
    assert sum(outcomes.values()) == 1


async def test_gauges_tell_who_writes_who_waits_and_who_was_put_aside() -> None:
    gate = Gate()
    settings = LlmSettings(max_line=1)
    async with (
        serve_here(lambda: FakeText(tell, num_slots=1, gate=gate), settings=settings) as embedded,
        talk(embedded.served) as talker,
    ):
        url, engine = embedded.served.url, embedded.engine
        gate.allow(1000)
        await talker.start("paused", messages=STORY, pause={"max_tokens": 3})
        paused = await scrape(url)
        await talker.start("last", messages=STORY, pause={"max_tokens": 3})
        preempted = await scrape(url)
        gate.allow(-gate._num_allowed)
        for stream_id in ("running", "waiting"):
            await talker.send("start_stream", stream_id, messages=STORY, stream_tokens=True)
        wanted = {"running": 1, "waiting": 1}
        await until(lambda: wanted.items() <= engine.num_by_state.items(), "one writes, one waits")
        gate.wait_held()
        busy = await scrape(url)
        gate.allow(10_000)
        for stream_id in ("running", "waiting"):
            await talker.until_over(stream_id)

    def states(seen: Any) -> dict[str, float]:
        return {state: seen.value("tiding_llm_sessions", state=state) for state in engine_states}

    engine_states = ("running", "waiting", "paused", "preempted")
    assert states(paused) == {"running": 0, "waiting": 0, "paused": 1, "preempted": 0}
    assert states(preempted) == {"running": 0, "waiting": 0, "paused": 1, "preempted": 1}
    assert states(busy) == {"running": 1, "waiting": 1, "paused": 0, "preempted": 2}
    assert (paused.value("tiding_llm_preemptions_total"), busy.value("tiding_llm_preemptions_total")) == (0, 2)
    assert paused.value("tiding_llm_kv_cells_in_use") > 0
    assert paused.value("tiding_llm_kv_cells_capacity") == 4096
    assert [paused.value(f"tiding_llm_slots_{name}") for name in ("in_use", "capacity")] == [1, 1]


async def test_refusals_are_counted_on_both_paths() -> None:
    async with serve_here(lambda: FakeText(tell), settings=LlmSettings(max_sessions=1)) as embedded:
        served = embedded.served
        async with talk(served) as talker, httpx.AsyncClient(base_url=served.url) as client:
            assert (await client.post(PATH, json={"messages": 1})).status_code == 422
            await talker.start("one", messages=STORY, pause={"max_tokens": 1})
            await talker.start("two", messages=STORY)
            await talker.go_on("nobody")
            assert (await client.post(PATH, json={"messages": STORY})).status_code == 503
            seen = await scrape(served.url)
    found = {
        (sample.labels["mode"], sample.labels["reason"]) for sample in seen.families["tiding_llm_refusals"].samples
    }
    assert found == {("socket", "at_capacity"), ("socket", "stream_not_found"), ("chat", "at_capacity"),
                     ("chat", "invalid_field")}  # fmt: skip


@pytest.mark.slow
async def test_each_stream_chat_and_refusal_is_one_line(llama_chat_server: Served) -> None:
    served = llama_chat_server
    assert served.log is not None
    num_before = len(served.log.read_text().splitlines())
    answer = await chat(served, STORY, max_tokens=5)
    async with talk(served, additional_headers={"X-Request-Id": "r-socket"}) as talker:
        await talker.start(messages=STORY, temperature=0, pause={"max_tokens": 3})
        await talker.go_on(pause={"max_tokens": 2})
        await talker.end()
        await talker.start("b", messages=[{"role": "user", "content": "word " * 10_000}])
    async with httpx.AsyncClient(base_url=served.url) as client:
        refused = await client.post(PATH, content=b"{", headers={"X-Request-Id": "r-wrong"})
        lost = await client.get("/nowhere", headers={"X-Request-Id": "r-lost"})
    assert [response.headers["X-Request-Id"] for response in (refused, lost)] == ["r-wrong", "r-lost"]

    def lines() -> list[Message]:
        new = served.log.read_text().splitlines()[num_before:] if served.log else []
        return [line for line in map(json.loads, new) if line["logger"] == "tiding.request"]

    await until(lambda: len(lines()) == 5, "five requests, five lines")
    found = {(line["request_id"], line["mode"], line["outcome"]) for line in lines()}
    assert found == {
        ("r-chat", "chat", "done"), ("r-socket", "socket", "done"), ("r-socket", "socket", "refused"),
        ("r-wrong", "chat", "refused"), ("r-lost", "", "refused"),
    }  # fmt: skip
    (chatted,) = [line for line in lines() if line["request_id"] == "r-chat"]
    assert chatted["tokens"] == answer["usage"]["completion_tokens"] == 5
    assert chatted["prompt_tokens"] == answer["usage"]["prompt_tokens"]
    assert chatted["reason"] == "max_tokens"
    assert chatted["first_token_ms"] > 0
    (socket,) = [line for line in lines() if line["request_id"] == "r-socket" and line["outcome"] == "done"]
    assert (socket["tokens"], socket["chunks"]) == (5, 2)
    assert "fox" not in served.log.read_text(), "what is said is nobody's business"
