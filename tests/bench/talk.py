"""From a question to sound, through both servers: `python -m tests.bench.talk [--rounds N] [--write]`.

Real servers in processes of their own, on the embedded models; the client is the one of `docs/how-to/talk/talk.py`, in
this process. Times are in ms from the sending of the question. `--write` writes the page, the numbers and the picture
under `docs/reference/` (the picture needs matplotlib, which is in none of our locks).
"""

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from app.clients import SpeechClient, TextClient
from tests.llm.talking import serve_process as serve_llm
from tests.serving import ROOT, serve_process
from tests.talking import Talk

DOCS: Final = ROOT / "docs" / "reference"
NAME: Final = "talk-measurements"

PUBLISHED_MS: Final = 884
"""Of the system that this one descends from, on a GPU and with other models."""

QUESTIONS: Final = (
    "Why is the sky blue?",
    "What should I cook tonight?",
    "How does a bicycle stay upright?",
    "Can you recommend a book for a long journey?",
    "What is the capital of France?",
    "How do I keep tomatoes fresh?",
    "Why do cats purr?",
    "What is a good name for a small boat?",
    "How far away is the moon?",
    "Tell me something about the sea.",
    "What makes bread rise?",
    "How can I sleep better?",
    "Why do leaves fall in autumn?",
    "What is the fastest animal?",
    "How does a radio work?",
    "What should I pack for a week in the mountains?",
    "Who invented the printing press?",
    "How do I learn to play the guitar?",
    "Why is the ocean salty?",
    "What is a good way to say thank you?",
)
MAX_TOKENS: Final = 60


class Answered(msgspec.Struct, frozen=True):
    """One question. Milliseconds from its sending."""

    question: str
    first_token_ms: float
    first_sound_ms: float
    num_holds: int
    audio_s: float
    total_ms: float


class Measured(msgspec.Struct, frozen=True):
    """A run. Shares are over all questions, milliseconds."""

    machine: str
    date: str
    commit: str
    rounds: int
    first_token_ms: dict[str, float]
    first_sound_ms: dict[str, float]
    answers: list[Answered]


async def ask_all(llm_url: str, speech_url: str, rounds: int) -> list[Answered]:
    """All questions, one after the other, after one that warms both servers up."""
    answers: list[Answered] = []
    async with TextClient(llm_url) as llm, SpeechClient(speech_url) as speech:
        await Talk(llm, speech).ask("Hello!", max_total_tokens=20)
        for seed in range(rounds):
            for question in QUESTIONS:
                said = await Talk(llm, speech).ask(question, seed=seed, max_total_tokens=MAX_TOKENS)
                assert said.first_token_s is not None, f"nothing was written: {question}"
                assert said.first_sound_s is not None, f"nothing was heard: {question}"
                times = [1000 * seconds for seconds in (said.first_token_s, said.first_sound_s, said.total_s)]
                answers.append(
                    Answered(question, times[0], times[1], len(said.holds), round(said.audio_s, 2), times[2])
                )
                print(f"  {question:50s} token {times[0]:6.1f}  sound {times[1]:6.1f} ms", flush=True)
    return answers


def measured(answers: list[Answered], rounds: int) -> Measured:
    return Measured(
        machine=f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        commit=subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
        ).stdout.strip(),
        rounds=rounds,
        first_token_ms=_shares([one.first_token_ms for one in answers]),
        first_sound_ms=_shares([one.first_sound_ms for one in answers]),
        answers=answers,
    )


def _shares(values: list[float]) -> dict[str, float]:
    p50, p95, worst = np.percentile(values, (50, 95, 100))
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1), "max": round(float(worst), 1)}


def page(run: Measured, *, has_picture: bool) -> str:
    """Markdown."""
    token, sound = run.first_token_ms, run.first_sound_ms
    lines = [
        "# From a question to sound, measured",
        "",
        "Through both servers, on the embedded models (SmolLM2-135M-Instruct, hibari), by `just bench-talk --write`:",
        "the client of [Talk](../how-to/talk.md) asks, the LLM's tokens go to the speech socket, and the clock",
        f"stops at the first audible sample. {len(QUESTIONS)} questions, {run.rounds} times, one after the other.",
        "",
        f"- Machine: {run.machine}",
        f"- Date: {run.date}, commit {run.commit}",
        "",
        "| from the question, ms | p50 | p95 | worst |",
        "| --- | --- | --- | --- |",
        f"| first token | {token['p50']} | {token['p95']} | {token['max']} |",
        f"| first audible audio | {sound['p50']} | {sound['p95']} | {sound['max']} |",
        f"| published for the system that Tiding descends from, on a GPU, other models | {PUBLISHED_MS} | | |",
        "",
    ]
    if has_picture:
        lines += [f"![First token and first sound of each question]({NAME}.svg)", ""]
    lines += ["| question | first token | first sound | speech, s | LLM held |", "| --- | --- | --- | --- | --- |"]
    lines += [
        f"| {one.question} | {one.first_token_ms:.0f} | {one.first_sound_ms:.0f} | {one.audio_s} | {one.num_holds} x |"
        for one in run.answers[: len(QUESTIONS)]
    ]
    return "\n".join(lines) + "\n"


def draw(run: Measured, path: Path) -> bool:
    """A picture of all answers. False: there is no matplotlib."""
    try:
        import matplotlib
    except ImportError:
        print("no picture: matplotlib is not installed (it is in none of our locks)")
        return False
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = NAME
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4), layout="constrained")
    share: Any = np.linspace(0, 100, len(run.answers))
    for name, values in (
        ("first token", [one.first_token_ms for one in run.answers]),
        ("first audible audio", [one.first_sound_ms for one in run.answers]),
    ):
        axes.plot(sorted(values), share, drawstyle="steps-post", label=name)
    axes.axvline(PUBLISHED_MS, color="grey", linestyle=":", label="published, on a GPU")
    axes.set(xlabel="ms from the question", ylabel="% of questions", xlim=(0, None), ylim=(0, 100))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    return True


def write(run: Measured) -> None:
    has_picture = draw(run, DOCS / f"{NAME}.svg")
    (DOCS / f"{NAME}.json").write_text(json.dumps(msgspec.to_builtins(run), indent=1) + "\n")
    (DOCS / f"{NAME}.md").write_text(page(run, has_picture=has_picture))
    print(f"written: {DOCS / NAME}.md")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.talk", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1, help="how often each question is asked")
    parser.add_argument("--write", action="store_true", help="write the page under docs/reference")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "servers.log"
        with serve_llm("app.serve", "llm", log=log) as llm, serve_process(log=log) as speech:
            answers = asyncio.run(ask_all(llm.socket_url, speech.socket_url, options.rounds))
    run = measured(answers, options.rounds)
    print(f"first token ms {run.first_token_ms}, first audible audio ms {run.first_sound_ms}; published {PUBLISHED_MS}")
    if options.write:
        write(run)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
