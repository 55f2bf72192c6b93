"""What it costs to count: `python -m tests.bench.counting`. Nanoseconds each, best of five, and what a scrape takes."""

import timeit
from collections.abc import Callable

from prometheus_client.exposition import generate_latest

from app.metrics import Scrape
from app.speech_metrics import SPEECH_METRICS
from engines.accounts import Books, Ledger
from engines.engine import Engine
from engines.fake import FakeModel
from engines.measures import SpeechMeasures, TextMeasures

MODES = ("batch", "stream", "adaptive", "websocket")


def cost_ns(call: Callable[[], object], number: int = 100_000) -> float:
    return 1e9 * min(timeit.repeat(call, number=number, repeat=5)) / number


def main() -> None:
    speech, text, now_s = SpeechMeasures(), TextMeasures(), [0.0]
    ledger = Ledger("sine", "en", 24_000, Books(speech, lambda: now_s[0], None))
    ledger.pushed(10)
    ledger.began_segment(10)
    engine = Engine(FakeModel)
    engine.measures.expect(MODES)
    costs = {
        "a step of the speech engine": cost_ns(lambda: speech.stepped(0.002, 64, ())),
        "a step of the text engine": cost_ns(lambda: text.stepped(0.02, 8)),
        "audio made, a step of a stream": cost_ns(lambda: ledger.made(1024)),
        "audio sent, a message": cost_ns(lambda: ledger.sent(0.0, 0.05, is_all=False)),
    }
    for name, nanoseconds in costs.items():
        print(f"{name:32} {nanoseconds:6.0f} ns")
    read_us = cost_ns(lambda: [(metric, metric.read(engine)) for metric in SPEECH_METRICS], 1000) / 1000
    readings = [(metric, metric.read(engine)) for metric in SPEECH_METRICS]
    write_us = cost_ns(lambda: generate_latest(Scrape(readings)), 50) / 1000
    print(f"a scrape: {read_us:.0f} us on the event loop, {write_us / 1000:.1f} ms in a thread")


if __name__ == "__main__":
    main()
