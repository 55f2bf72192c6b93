"""What the text engine costs over bare llama.cpp: `python -m tests.bench.llm [--rounds N] [--json FILE] [--write]`.

On the embedded model, in this process, in one run: the engine, llama-cpp-python's own high-level call and a bare loop
of its low-level ones take turns, so that all of them meet the same machine. Ratios first. `--write` writes the page and
the numbers under `docs/reference/`.
"""

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from statistics import mean, median
from typing import Any, Final

import llama_cpp
import msgspec
import numpy as np

from engines.llm.engine import TextEngine, TextLimits
from engines.llm.llama import load
from engines.llm.llama.weights import locate
from engines.llm.options import LlamaOptions
from engines.llm.session import TextSession
from engines.llm.types import Message, Pause, Sampling, Token
from tests.serving import ROOT

DOCS: Final = ROOT / "docs" / "reference"
NAME: Final = "llm-measurements"

GREEDY: Final = Sampling(temperature=0)
OPTIONS: Final = LlamaOptions()
TOPICS: Final = ("the sea", "bread", "old bridges", "the moon", "bees", "trains", "rain", "a small garden")
NUM_TOKENS: Final = 150
NUM_SESSIONS: Final = 8
LONG_PROMPT_TOKENS: Final = 2000
BESIDE: Final[tuple[tuple[float, bool], ...]] = ((100, True), (150, True), (200, True), (150, False))
"""Budgets in ms, and whether the prompt is read aside."""


def asking(topic: str) -> list[Message]:
    return [Message("user", f"Write a long and detailed text about {topic}, with many examples.")]


@asynccontextmanager
async def engine(
    step_ms: float = TextLimits().step_ms, *, read_aside: bool = OPTIONS.read_aside
) -> AsyncIterator[TextEngine]:
    options = msgspec.structs.replace(OPTIONS, read_aside=read_aside)
    running = TextEngine(load(options), limits=TextLimits(step_ms=step_ms))
    running.start()
    await running.wait_ready()
    try:
        yield running
    finally:
        await running.close()


def high_level_model() -> llama_cpp.Llama:
    """With the threads that llama-cpp-python chooses."""
    return llama_cpp.Llama(str(locate("")), n_ctx=OPTIONS.context, flash_attn=True, verbose=False)


async def write(running: TextEngine, messages: Sequence[Message], num_tokens: int = NUM_TOKENS) -> list[float]:
    """When each token came, on the clock. An answer that ends too soon is gone on with."""
    times: list[float] = []
    async with await running.open_session(messages, sampling=GREEDY) as session:
        while len(times) < num_tokens:
            if session.is_done:
                await session.append([Message("user", "Go on, with more detail.")])
            times += await stamps_of(session, num_tokens - len(times))
    return times


async def stamps_of(session: TextSession, num_tokens: int) -> list[float]:
    """When each token of a chunk came."""
    return [
        time.perf_counter() async for event in session.write(Pause(max_tokens=num_tokens)) if isinstance(event, Token)
    ]


def rate(times: Sequence[float]) -> float:
    """Tokens a second, from the first to the last."""
    return (len(times) - 1) / (times[-1] - times[0])


# -- one session, and eight --------------------------------------------------------------------------------------------


def high_level(model: llama_cpp.Llama, topic: str) -> float:
    """Tokens a second of llama-cpp-python's own call."""
    messages: Any = [{"role": message.role, "content": message.content} for message in asking(topic)]
    chunks = model.create_chat_completion(
        messages, temperature=0, repeat_penalty=GREEDY.repeat_penalty, max_tokens=NUM_TOKENS, stream=True
    )
    times = [time.perf_counter() for _ in chunks]
    return rate(times[1:-1])  # the first says the role, the last how it ended


def bare(model: Any, num_sessions: int) -> float:
    """Tokens a second of a loop of low-level calls: as many sequences, one batch a step, a sampler chain each."""
    api, context = llama_cpp.llama_cpp, model._context._context
    batch = api.llama_batch_init(512, 0, 1)
    chains = [_chain(api, model._words.num_tokens) for _ in range(num_sessions)]
    lengths: list[int] = []
    tokens: list[int] = []

    def add(token: int, position: int, sequence: int, draws: bool) -> None:
        place = batch.n_tokens
        batch.token[place], batch.pos[place], batch.logits[place] = token, position, draws
        batch.n_seq_id[place], batch.seq_id[place][0] = 1, sequence
        batch.n_tokens += 1

    for sequence in range(num_sessions):
        prompt = model.tokenise(model.render(asking(TOPICS[sequence])))
        batch.n_tokens = 0
        for position, token in enumerate(prompt):
            add(token, position, sequence, position == len(prompt) - 1)
        assert api.llama_decode(context, batch) == 0
        tokens.append(api.llama_sampler_sample(chains[sequence], context, batch.n_tokens - 1))
        lengths.append(len(prompt))
    started_s = time.perf_counter()
    for _ in range(NUM_TOKENS):
        batch.n_tokens = 0
        for sequence in range(num_sessions):
            add(tokens[sequence], lengths[sequence], sequence, True)
            lengths[sequence] += 1
        assert api.llama_decode(context, batch) == 0
        tokens = [api.llama_sampler_sample(chains[sequence], context, sequence) for sequence in range(num_sessions)]
    took_s = time.perf_counter() - started_s
    for sequence, chain in enumerate(chains):
        api.llama_sampler_free(chain)
        model.truncate(sequence, 0)
    api.llama_batch_free(batch)
    return num_sessions * NUM_TOKENS / took_s


def _chain(api: Any, num_words: int) -> Any:
    """Samplers as both others have them."""
    chain = api.llama_sampler_chain_init(api.llama_sampler_chain_default_params())
    api.llama_sampler_chain_add(chain, api.llama_sampler_init_penalties(num_words, 64, GREEDY.repeat_penalty, 0.0, 0.0))
    api.llama_sampler_chain_add(chain, api.llama_sampler_init_greedy())
    return chain


async def together(running: TextEngine) -> float:
    """Tokens a second of eight sessions, while all of them write."""
    all_times = await asyncio.gather(*(write(running, asking(topic)) for topic in TOPICS[:NUM_SESSIONS]))
    begin_s = max(times[0] for times in all_times)
    end_s = min(times[-1] for times in all_times)
    return sum(begin_s < when <= end_s for times in all_times for when in times) / (end_s - begin_s)


async def speeds(rounds: int) -> dict[str, Any]:
    """One session against the high-level call, eight against a bare loop of eight and against one."""
    own = high_level_model()
    raw = load(OPTIONS)()
    found: dict[str, list[float]] = {"engine": [], "high-level": [], "engine, 8": [], "bare, 8": [], "bare": []}
    async with engine() as running:
        for number in range(rounds + 1):
            took = {
                "engine": rate(await write(running, asking(TOPICS[number % len(TOPICS)]))),
                "high-level": await asyncio.to_thread(high_level, own, TOPICS[number % len(TOPICS)]),
                "engine, 8": await together(running),
                "bare, 8": await asyncio.to_thread(bare, raw, NUM_SESSIONS),
                "bare": await asyncio.to_thread(bare, raw, 1),
            }
            if number:  # the first warms everything up
                for name, value in took.items():
                    found[name].append(value)
    raw.close()
    own.close()
    return {
        "tokens_s": {name: round(median(values), 1) for name, values in found.items()},
        "engine_to_high_level": _ratio(found["engine"], found["high-level"]),
        "engine_to_bare": _ratio(found["engine"], found["bare"]),
        "8_engine_to_8_bare": _ratio(found["engine, 8"], found["bare, 8"]),
        "8_to_1": _ratio(found["engine, 8"], found["engine"]),
    }


def _ratio(one: Sequence[float], other: Sequence[float]) -> float:
    """Of each round, the one in the middle: what disturbs a round disturbs both."""
    return round(median(a / b for a, b in zip(one, other, strict=True)), 3)


# -- going on ----------------------------------------------------------------------------------------------------------


async def resumes() -> dict[str, Any]:
    """The first token after a pause against the time between tokens, and what a fresh completion of the text pays."""
    own = high_level_model()
    between_ms: list[float] = []
    first_ms: list[float] = []
    fresh_ms: list[float] = []
    async with engine() as running:
        await write(running, asking(TOPICS[0]), 10)
        for topic in TOPICS:
            async with await running.open_session(asking(topic), sampling=GREEDY) as session:
                for part in range(5):
                    times = [time.perf_counter(), *await stamps_of(session, 20)]
                    if session.is_done:
                        break
                    gaps = np.diff(times) * 1000
                    between_ms += gaps[1:].tolist()
                    if part:  # the first chunk has its prompt in front
                        first_ms.append(float(gaps[0]))
                text = session.text
            prompt = f"Write about {topic}, in detail. {text}"
            own.reset()  # a client that sends its text again finds no cache
            started_s = time.perf_counter()
            for _ in own.create_completion(prompt, max_tokens=1, temperature=0, stream=True):
                break
            fresh_ms.append(1000 * (time.perf_counter() - started_s))
    own.close()
    return {
        "between_tokens_ms": round(mean(between_ms), 2),
        "first_after_a_pause_ms": round(mean(first_ms), 2),
        "ratio": round(mean(first_ms) / mean(between_ms), 2),
        "fresh_completion_ms": round(mean(fresh_ms), 1),
    }


# -- a long prompt beside others ---------------------------------------------------------------------------------------


async def beside(step_ms: float, read_aside: bool) -> dict[str, Any]:
    """Eight who write, and a prompt of 2 000 tokens that is read beside them."""
    async with engine(step_ms, read_aside=read_aside) as running:
        model = running._device.require().model
        long = _long_prompt(model)
        began_s = time.perf_counter()
        alone_s = (await write(running, long, 2))[0] - began_s
        stamps: list[list[float]] = []
        is_over = asyncio.Event()

        async def writer(topic: str) -> None:
            """In chunks without an end: between two of them a client waits for its own asking."""
            async with await running.open_session(asking(topic), sampling=GREEDY) as session:
                while not is_over.is_set():
                    if session.is_done:
                        await session.append([Message("user", "Go on.")])
                    times: list[float] = []
                    stamps.append(times)
                    async for event in session.write(Pause()):
                        if isinstance(event, Token):
                            times.append(time.perf_counter())
                        if is_over.is_set():
                            break

        writers = [asyncio.create_task(writer(topic)) for topic in TOPICS[:NUM_SESSIONS]]
        while len(stamps) < NUM_SESSIONS or min(map(len, stamps[:NUM_SESSIONS])) < 20:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        began_s = time.perf_counter()
        ended_s = (await write(running, long, 2))[0]
        first_s = ended_s - began_s
        is_over.set()
        await asyncio.gather(*writers)
    before, during = _gaps_ms(stamps, 0.0, began_s), _gaps_ms(stamps, began_s, ended_s)
    return {
        "step_ms": step_ms,
        "read_aside": read_aside,
        "normal_ms": round(median(before), 1),
        "p95_ms": round(float(np.percentile(during, 95)), 1),
        "p95_times_normal": round(float(np.percentile(during, 95)) / median(before), 2),
        "longest_ms": round(max(during), 1),
        "first_alone_s": round(alone_s, 3),
        "first_beside_s": round(first_s, 3),
        "times_alone": round(first_s / alone_s, 2),
    }


def _gaps_ms(stamps: Sequence[Sequence[float]], begin_s: float, end_s: float) -> list[float]:
    """Between a session's tokens, of those that end within these times."""
    return [1000 * (after - one) for times in stamps for one, after in pairwise(times) if begin_s < after <= end_s]


def _long_prompt(model: Any) -> list[Message]:
    words = "The keeper of the lighthouse wrote down the weather, the ships and the birds of every day. "
    text = words
    while len(model.tokenise(text + words)) < LONG_PROMPT_TOKENS:
        text += words
    return [Message("user", text + "What did the keeper write down?")]


# -- all of it ---------------------------------------------------------------------------------------------------------


async def measure(rounds: int) -> dict[str, Any]:
    report: dict[str, Any] = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "llama_cpp": llama_cpp.__version__,
        "rounds": rounds,
    }
    parts: list[tuple[str, Callable[[], Any]]] = [("speed", lambda: speeds(rounds)), ("resume", resumes)]
    for name, part in parts:
        report[name] = await part()
        print(name, report[name], flush=True)
    report["beside"] = []
    for step_ms, read_aside in BESIDE:
        report["beside"].append(await beside(step_ms, read_aside))
        print("beside", report["beside"][-1], flush=True)
    report["load"] = round(os.getloadavg()[1], 1)
    return report


def _commit() -> str:
    asked = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def page(report: dict[str, Any]) -> str:
    """Markdown."""
    speed, resume = report["speed"], report["resume"]
    tokens_s = speed["tokens_s"]
    lines = [
        "# The text engine, measured",
        "",
        "On the embedded model (SmolLM2-135M-Instruct, Q4), by `just bench-llm --write`; what is compared took turns",
        "in one run. What they mean is said in [A language model that can be paused](../explanation/pausing.md).",
        "",
        f"- Machine: {report['machine']}; load average of the last five minutes: {report['load']}",
        f"- Date: {report['date']}, commit {report['commit']}, llama-cpp-python {report['llama_cpp']}",
        "",
        "| ratio | wanted | measured |",
        "| --- | --- | --- |",
        f"| one session, to llama-cpp-python's high-level call | 0.95 | {speed['engine_to_high_level']} |",
        f"| 8 sessions, to a bare low-level loop of 8 | 0.95 | {speed['8_engine_to_8_bare']} |",
        f"| 8 sessions, to one | 1.25 | {speed['8_to_1']} |",
        f"| first token after a pause, to the time between tokens | at most 1.5 | {resume['ratio']} |",
        "",
        "| tokens a second | one | 8 together |",
        "| --- | --- | --- |",
        f"| engine | {tokens_s['engine']} | {tokens_s['engine, 8']} |",
        f"| bare low-level loop | {tokens_s['bare']} | {tokens_s['bare, 8']} |",
        f"| high-level call | {tokens_s['high-level']} | - |",
        "",
        f"Between tokens: {resume['between_tokens_ms']} ms. First token after a pause:",
        f"{resume['first_after_a_pause_ms']} ms. A fresh completion of the same text, which pays for its prompt again:",
        f"{resume['fresh_completion_ms']} ms.",
        "",
        "## A prompt of 2 000 tokens beside eight who write",
        "",
        "| `TIDING_LLM_STEP_MS` | `TIDING_LLM_READ_ASIDE` | between tokens, normal, ms "
        "| beside the prompt, p95, ms | times normal | longest, ms | prompt's first token, s | times alone |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *(
            f"| {row['step_ms']:.0f} | {str(row['read_aside']).lower()} | {row['normal_ms']} | {row['p95_ms']} | "
            f"{row['p95_times_normal']} | {row['longest_ms']} | {row['first_beside_s']} | {row['times_alone']} |"
            for row in report["beside"]
        ),
    ]
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.llm", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--write", action="store_true", help="write the page under docs/reference")
    options = parser.parse_args(arguments)
    report = asyncio.run(measure(options.rounds))
    text = json.dumps(report, indent=1) + "\n"
    if options.json:
        options.json.write_text(text)
    if options.write:
        (DOCS / f"{NAME}.json").write_text(text)
        (DOCS / f"{NAME}.md").write_text(page(report))
        print(f"written: {DOCS / NAME}.md")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
