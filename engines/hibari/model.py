"""hibari as a model: rows that are prefilled on a pool of threads and stepped in windows."""

import gc
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

import hibari
import msgspec
import numpy as np
from numpy.typing import NDArray

from engines.hibari.network import Network
from engines.hibari.reading import Reader, Reading
from engines.hibari.synthesis import HOP, SAMPLE_RATE_HZ, WINDOW_FRAMES, Noise, Spectrum, prepare
from engines.model import Made, Prefill, StepResult, Wake
from engines.types import AudioFormat, Params, Pcm, Segment, Voice, Word

ASSETS: Final = Path(hibari.__file__).parent / "assets"
NETWORK_FILE: Final = ASSETS / "hibari.onnx"
"""The voice inside the package. hibari fetches its other voices from a model hub; nothing here can name one."""

NUM_THREADS: Final = 2
"""Of the pool. On two cores two runs of the network side by side take about as long as one alone, while one run spread
over two threads gains a tenth (measured with onnxruntime 1.32)."""

NUM_KEPT_FRAMES: Final = 1200
"""Of noise that is drawn once: 15 s, more than the longest segment takes (6 MB)."""

_WARM_UP = (
    "Hello.",
    "Zblorf is warm, and so is 42.",
    "The quick brown fox jumps over the lazy dog, and is gone.",
)
_NO_PCM = np.zeros(0, np.float32)


class _Rendered(msgspec.Struct, frozen=True):
    """What one run of the network gives: a spectrum (None: nothing to hear), its words, and what did not fit."""

    spectrum: Spectrum | None
    words: tuple[Word, ...]
    rest: Reading


class _Row:
    """What a slot holds: a segment, the run of the network it is in, and how many frames of that are synthesised."""

    def __init__(self, job: Prefill) -> None:
        self.slot = job.slot
        self.segment = job.segment
        self.seed = job.params.seed
        self.speed = min(max(job.params.speed, Hibari.speeds[0]), Hibari.speeds[1])
        self.rendered: Future[_Rendered] = Future()
        self.num_frames_done = 0
        self.offset_ms = 0.0


class Hibari:
    """Device thread only, but for the attributes, `is_speakable` and `max_segment_chars`. The pool calls `wake` when a
    row has become ready.
    """

    name = "hibari"
    format = AudioFormat(SAMPLE_RATE_HZ, WINDOW_FRAMES * HOP)
    voices = (Voice("heart", "en-US", "female"),)
    languages = ("en",)
    speeds = (0.5, 1.0)
    num_slots = 12
    num_prefills = NUM_THREADS
    step_width = 4

    def __init__(self, wake: Wake) -> None:
        self._wake = wake
        self._reader = Reader(ASSETS)
        self._network = Network(NETWORK_FILE)
        self._noise = Noise(Params().seed, NUM_KEPT_FRAMES)
        self._pool = ThreadPoolExecutor(NUM_THREADS, thread_name_prefix="hibari")
        self._rows: dict[int, _Row] = {}

    def warm_up(self) -> None:
        """Spend the hundreds of milliseconds that first runs cost, so that no listener does."""

        def speak(text: str) -> None:
            rendered = self._read_and_render(Segment(text, 0), Params().seed, 1.0)
            if rendered.spectrum is not None:
                rendered.spectrum.window(0, rendered.spectrum.num_frames)

        list(self._pool.map(speak, _WARM_UP * NUM_THREADS))

    def is_speakable(self, char: str, language: str = "en") -> bool:
        return self._reader.is_speakable(char)

    def max_segment_chars(self, language: str) -> int:
        """Any length: what is too long for one run of the network takes several."""
        return sys.maxsize

    def prefill(self, jobs: Sequence[Prefill]) -> None:
        for job in jobs:
            row = self._rows[job.slot] = _Row(job)
            self._start(row, self._read_and_render, row.segment, row.seed, row.speed)

    def step(self, slots: Sequence[int]) -> Made:
        is_ready = {slot: self._rows[slot].rendered.done() for slot in slots}
        return Made(
            results=[self._advance(self._rows[slot]) for slot in slots if is_ready[slot]],
            not_ready=[slot for slot in slots if not is_ready[slot]],
        )

    def release(self, slot: int) -> None:
        row = self._rows.pop(slot, None)
        if row is not None:
            row.rendered.cancel()

    def forget(self, session: int) -> None:
        """Nothing is kept from one segment to the next."""

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _start(self, row: _Row, work: Callable[..., _Rendered], *args: object) -> None:
        row.rendered = self._pool.submit(work, *args)
        row.rendered.add_done_callback(lambda _: self._wake())

    def _read_and_render(self, segment: Segment, seed: int, speed: float) -> _Rendered:
        return self._render(self._reader.read(segment.text, segment.sounds), segment, seed, speed)

    def _render(self, reading: Reading, segment: Segment, seed: int, speed: float) -> _Rendered:
        head, rest = reading.split()
        if not head.ids:
            return _Rendered(None, (), rest)
        outputs, times_ms = self._network.run(head.ids, speed)
        noise = self._noise.draw(seed, outputs[0].shape[-1])
        return _Rendered(prepare(outputs, noise), _words(head, segment, times_ms), rest)

    def _advance(self, row: _Row) -> StepResult:
        """The next window of a row whose run of the network is done. One that fails costs its segment alone."""
        try:
            return self._next_result(row, row.rendered.result())
        except BaseException as error:
            return StepResult(row.slot, _NO_PCM, is_segment_end=True, error=_exception(error))

    def _next_result(self, row: _Row, rendered: _Rendered) -> StepResult:
        pcm, words = self._next_window(row, rendered)
        is_spent = rendered.spectrum is None or row.num_frames_done >= rendered.spectrum.num_frames
        if is_spent and rendered.rest.ids:
            self._start_rest(row, rendered)
            is_spent = False
        return StepResult(row.slot, pcm, is_segment_end=is_spent, words=words)

    def _next_window(self, row: _Row, rendered: _Rendered) -> tuple[Pcm, tuple[Word, ...]]:
        if rendered.spectrum is None:
            return _NO_PCM, ()
        first = row.num_frames_done
        last = row.num_frames_done = min(first + WINDOW_FRAMES, rendered.spectrum.num_frames)
        words = tuple(_later(word, row.offset_ms) for word in rendered.words) if first == 0 else ()
        return rendered.spectrum.window(first, last), words

    def _start_rest(self, row: _Row, rendered: _Rendered) -> None:
        row.offset_ms += row.num_frames_done * HOP * 1000 / SAMPLE_RATE_HZ
        row.num_frames_done = 0
        self._start(row, self._render, rendered.rest, row.segment, row.seed, row.speed)


def load(wake: Wake) -> Hibari:
    """A warm hibari."""
    model = Hibari(wake)
    model.warm_up()
    gc.collect()
    gc.freeze()  # else each full collection walks the lexicons, and everybody waits 24 ms for it
    return model


def _words(reading: Reading, segment: Segment, times_ms: NDArray[np.float64] | None) -> tuple[Word, ...]:
    if times_ms is None:
        return ()
    places = np.arange(len(times_ms))
    return tuple(
        Word(
            text=word.text,
            start_ms=float(np.interp(word.id_start, places, times_ms)),
            end_ms=float(np.interp(word.id_end, places, times_ms)),
            char_start=segment.start + word.char_start,
            char_end=segment.start + word.char_end,
        )
        for word in reading.words
    )


def _later(word: Word, offset_ms: float) -> Word:
    return msgspec.structs.replace(word, start_ms=word.start_ms + offset_ms, end_ms=word.end_ms + offset_ms)


def _exception(error: BaseException) -> Exception:
    return error if isinstance(error, Exception) else RuntimeError(repr(error))
