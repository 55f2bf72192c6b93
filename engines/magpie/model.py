"""Magpie as a model: slots that are prefilled beside the steps, stepped together, and heard in chunks.

One `step` of the engine is one decoder step for all slots that are ready, then one decoding by the codec for those
whose next chunk is complete.
"""

import gc
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import numpy as np
import torch

from engines.magpie.checkpoint import Checkpoint
from engines.magpie.checkpoint import load as load_checkpoint
from engines.magpie.codec import StreamingCodec
from engines.magpie.decoder import Decoder
from engines.magpie.graphs import Flight, Launcher, Stepper
from engines.magpie.guards import Guards
from engines.magpie.memory import CODEC_BYTES, choose_num_slots
from engines.magpie.operations import Operations
from engines.magpie.options import MagpieOptions
from engines.magpie.precision import CODEC_PRECISION, DTYPES, choose_device, choose_precision, use_tf32
from engines.magpie.prefills import TEXT_BUCKETS, Prefills, Request
from engines.magpie.prior import IGNORED_END
from engines.magpie.rows import MAX_CHUNK_FRAMES, End, Row
from engines.magpie.sound import Sound, Span
from engines.magpie.state import allocate, bytes_per_slot, max_positions_of
from engines.magpie.tokens import UNSPACED, Tokens
from engines.magpie.weights import convert
from engines.model import Loader, Made, Prefill, StepResult, Wake
from engines.types import AudioFormat, Pcm

MOST_CHUNKS: Final = 32
MIN_CHUNK_STEPS: Final = 4
"""Chunks that are decoded and handed out in one step: this many, or one in four of the slots where that is more. Slots
that began together would have theirs together, and everybody would wait for the end of it."""

MAX_PREFILLS: Final = 32
"""Newcomers that are taken up in one step."""

MAX_CHARS: Final = 200
MAX_CHARS_UNSPACED: Final = 60
"""Of a segment: about 14 s of speech, well below the longest that a checkpoint makes."""

logger = logging.getLogger("tiding.magpie")

_Bucket = TypeVar("_Bucket")
_NO_TOKENS: Final = Tokens((), (), has_sound=False)
_NO_PCM: Final = np.zeros(0, np.float32)


class Magpie:
    """Device thread only, but for the attributes, `is_speakable` and `max_segment_chars`.

    Without guards a segment ends by its end token or its length alone: for measuring random weights.
    """

    @torch.inference_mode()
    def __init__(
        self, checkpoint: Checkpoint, options: MagpieOptions = MagpieOptions(), *, has_guards: bool = True
    ) -> None:
        shape, recipe = checkpoint.shape, checkpoint.recipe
        device = choose_device(options.device)
        precision = choose_precision(options.precision, device)
        dtype = DTYPES[precision]
        use_tf32(precision)
        self._max_tokens = min(TEXT_BUCKETS[-1], shape.encoder_positions)
        slot_bytes = bytes_per_slot(shape, recipe, self._max_tokens, dtype) + CODEC_BYTES
        self._shape, self._recipe, self._tokenizer = shape, recipe, checkpoint.tokenizer
        self._device = device
        self._stream = torch.cuda.Stream(priority=-1) if device.type == "cuda" else None
        if self._stream is not None:
            torch.cuda.set_stream(self._stream)
        weights = convert(checkpoint.weights, checkpoint.prefix, shape, device=device, dtype=dtype)
        self.num_slots = choose_num_slots(options.slots, slot_bytes, device)
        self._state = allocate(shape, recipe, self.num_slots, self._max_tokens, device=device, dtype=dtype)
        ops, prefill_ops = _operations(device)
        self._decoder = Decoder(weights, shape, recipe, self._state, ops, prefill_ops)
        codec_precision = options.codec_precision
        codec = StreamingCodec(
            checkpoint.codec,
            self.num_slots,
            device=device,
            precision=CODEC_PRECISION[device.type] if codec_precision == "auto" else codec_precision,
        )
        side = torch.cuda.Stream() if self._stream is not None else None
        self._prefill_stream = side
        self._sound = Sound(codec, self._state.frames, MAX_CHUNK_FRAMES, checkpoint.samples_per_frame, side)
        self._stepper = Stepper[Row](
            self._decoder.step, self.num_slots, 2, device, Launcher(self._stream), self._stream
        )
        self._in_flight: deque[Flight[Row]] = deque()
        self._prefills = Prefills(
            self._decoder.prefill, self._sound.silence, self._max_tokens, self.num_slots, device, Launcher(side), side
        )
        step_s = checkpoint.samples_per_frame * shape.stacking / checkpoint.sample_rate_hz
        self._step_ms = step_s * 1000
        self._guards = (
            Guards(self.num_slots, step_s=step_s, stacking=shape.stacking, num_ignored=IGNORED_END)
            if has_guards
            else None
        )
        self._rows: dict[int, Row] = {}
        self._num_batches = 0
        self._voices = {voice.name: index for index, voice in enumerate(checkpoint.voices)}
        self._max_steps = max_positions_of(shape, recipe) - shape.prefix_len
        self._steps = np.zeros(self.num_slots, np.int64)
        self._decoded = np.zeros(self.num_slots, np.int64)  # frames
        self._furthest = np.zeros((self.num_slots, self._max_steps + 1), np.int16)
        self.name = checkpoint.name
        self.voices = checkpoint.voices
        self.languages = checkpoint.tokenizer.languages
        self.speeds = (1.0, 1.0)
        self.format = AudioFormat(checkpoint.sample_rate_hz, MAX_CHUNK_FRAMES * checkpoint.samples_per_frame)
        self.num_prefills = min(MAX_PREFILLS, self.num_slots)
        self.step_width = self.num_slots

    def is_speakable(self, char: str, language: str) -> bool:
        return self._tokenizer.is_speakable(char, language)

    def max_segment_chars(self, language: str) -> int:
        return MAX_CHARS_UNSPACED if language in UNSPACED else MAX_CHARS

    # -- start -----------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def warm_up(self) -> None:
        """Capture every graph, so that no listener waits for one."""
        if self._stream is not None:
            self._stream.synchronize()  # what was put on the device so far is read by other streams from here on
        started_s = time.monotonic()
        self._sound.capture()
        logger.info("codec ready: %.1f s", time.monotonic() - started_s)
        self._capture("prefill", self._prefills.buckets, self._prefills.capture)
        self._capture("step", self._stepper.buckets, self._stepper.capture)

    def _capture(self, name: str, buckets: Sequence[_Bucket], capture: Callable[[_Bucket], None]) -> None:
        started_s = time.monotonic()
        for done, bucket in enumerate(buckets, 1):
            capture(bucket)
            if done == 1 or done == len(buckets):  # the first takes longest: it compiles the kernels
                logger.info("%s: %d of %d sizes, %.1f s", name, done, len(buckets), time.monotonic() - started_s)

    # -- the contract ----------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def prefill(self, jobs: Sequence[Prefill]) -> None:
        requests: list[Request] = []
        for job in jobs:
            tokens, error = self._read(job)
            row = self._rows[job.slot] = Row(job, tokens, self._step_ms)
            row.error = error
            self._begin(job.slot, tokens)
            if tokens.has_sound:
                is_fresh = not self._sound.begin(job.slot, job.session)
                requests.append(self._request(job, tokens, is_fresh=is_fresh))
            else:
                row.end = End(0)
        for flight in self._in_flight:
            flight.hold(self._prefill_stream)  # a step that was launched for who had the slot before still writes there
        for batch, ready in self._prefills.launch(requests):
            self._num_batches += 1
            for request in batch:
                row = self._rows[request.slot]
                row.ready, row.turn = ready, self._num_batches

    @torch.inference_mode()
    def step(self, slots: Sequence[int]) -> Made:
        rows = [self._rows[slot] for slot in slots]
        if running := [row for row in self._ready(rows) if row.end is None]:
            self._launch(running)
            if self._stream is not None and len(self._in_flight) == 1:
                self._launch(running)  # the device goes on with this one while the host sees to the one before
        if self._in_flight:
            flight = self._in_flight.popleft()
            self._take_note(flight.rows, flight.wait())
        return Made(self._hand_out(rows))

    def release(self, slot: int) -> None:
        self._rows.pop(slot, None)

    def forget(self, session: int) -> None:
        self._sound.forget(session)

    def close(self) -> None:
        self._rows.clear()
        self._in_flight.clear()
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        # Whoever has a session may know this model for a while yet; the device's memory is not theirs to keep.
        del self._decoder, self._state, self._sound, self._stepper, self._prefills
        gc.unfreeze()
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    # -- inside ----------------------------------------------------------------------------------------------------

    def _read(self, job: Prefill) -> tuple[Tokens, Exception | None]:
        """A segment's tokens. One that cannot be read has none, and fails alone."""
        try:
            tokens = self._tokenizer.encode(job.segment.text, job.params.language, job.segment.sounds)
        except Exception as error:  # of a library, on a text that nobody has thought of
            return _NO_TOKENS, error
        if len(tokens.ids) > self._max_tokens:
            return _NO_TOKENS, ValueError(f"a segment of {len(tokens.ids)} tokens; at most {self._max_tokens} fit")
        return tokens, None

    def _begin(self, slot: int, tokens: Tokens) -> None:
        self._steps[slot] = self._decoded[slot] = 0
        if self._guards is not None:
            self._guards.begin(slot, len(tokens.ids))

    def _request(self, job: Prefill, tokens: Tokens, *, is_fresh: bool) -> Request:
        params, recipe = job.params, self._recipe
        temperature = recipe.temperature if params.temperature is None else params.temperature
        top_k = recipe.top_k if params.top_k is None else params.top_k
        return Request(
            slot=job.slot,
            ids=tokens.ids,
            voice=self._voices[job.voice.name],
            seed=params.seed,
            top_k=top_k if temperature > 0 else 1,
            temperature=temperature if temperature > 0 else 1.0,
            cfg_scale=recipe.cfg_scale if params.cfg_scale is None else params.cfg_scale,
            is_fresh=is_fresh,
        )

    def _ready(self, rows: Sequence[Row]) -> list[Row]:
        """Those that are prefilled. Where nobody is, the device waits for the first newcomers, not the host."""
        waiting = [row for row in rows if row.ready is not None]
        first = min(waiting, key=lambda row: row.turn).ready if waiting and len(waiting) == len(rows) else None
        if first is not None and self._stream is not None:
            self._stream.wait_event(first)
        for row in waiting:
            if row.ready is first or (row.ready is not None and row.ready.query()):
                row.ready = None
        return [row for row in rows if row.ready is None]

    def _launch(self, rows: Sequence[Row]) -> None:
        self._in_flight.append(self._stepper.launch([row.slot for row in rows], rows))

    def _take_note(self, rows: Sequence[Row], report: np.ndarray) -> None:
        """Where each row is after a step. A row that has ended, or gone, was stepped for nothing."""
        wanted = [n for n, row in enumerate(rows) if row.end is None and self._rows.get(row.slot) is row]
        slots = np.array([rows[n].slot for n in wanted], np.int64)
        attended, end_frame = report[wanted, 0], report[wanted, 1]
        steps = self._steps[slots]
        before = np.where(steps > 0, self._furthest[slots, steps - 1], 0)
        self._furthest[slots, steps] = np.maximum(before, attended)
        steps = self._steps[slots] = steps + 1
        cut = dict.fromkeys(slots[steps >= self._max_steps].tolist(), "too long")
        if self._guards is not None:
            cut |= self._guards.check(slots, attended)
        for slot, reason in cut.items():
            self._rows[slot].end = End(int(self._steps[slot]) * self._shape.stacking, reason)
        for n in np.flatnonzero(end_frame >= 0):
            self._rows[int(slots[n])].end = End(int(end_frame[n]))

    def _hand_out(self, rows: Sequence[Row]) -> list[StepResult]:
        """What there is to hear: not of everybody at once, so that no step is much longer than others."""
        failed = [StepResult(row.slot, _NO_PCM, is_segment_end=True, error=row.error) for row in rows if row.error]
        due = [row for row in rows if not row.error and (row.end or self._num_left(row) >= row.chunk)]
        most = max(MOST_CHUNKS, len(rows) // MIN_CHUNK_STEPS)
        if len(due) > most:
            due = sorted(due, key=self._haste)[:most]
        spans = [self._take_span(row) for row in due]
        sound = self._sound.decode([span for span in spans if span.count])
        return failed + [self._result(row, sound.get(row.slot, _NO_PCM)) for row in due]

    def _num_left(self, row: Row) -> int:
        """Frames that are drawn and have not been heard."""
        num_frames = row.end.num_frames if row.end else int(self._steps[row.slot]) * self._shape.stacking
        return num_frames - int(self._decoded[row.slot])

    def _haste(self, row: Row) -> tuple[bool, int]:
        """Smaller is served sooner: first chunks, then who waits for longest."""
        return row.num_chunks > 0, row.chunk - self._num_left(row)

    def _take_span(self, row: Row) -> Span:
        first, left = int(self._decoded[row.slot]), self._num_left(row)
        count = min(left, MAX_CHUNK_FRAMES if row.end else row.chunk)
        self._decoded[row.slot] += count
        row.take_chunk()
        return Span(row.slot, first, count)

    def _result(self, row: Row, pcm: Pcm) -> StepResult:
        furthest = self._furthest[row.slot, : self._steps[row.slot]]
        is_last = row.end is not None and not self._num_left(row)
        words = row.clock.take(furthest, is_last=is_last)
        return StepResult(row.slot, pcm, is_last, words, cut_short=row.end.cut_short if is_last and row.end else "")


def _operations(device: torch.device) -> tuple[Operations, Operations]:
    """Those of a step, and of a prefill."""
    if device.type == "cuda":
        from engines.magpie.kernels import PREFILL_KERNELS, STEP_KERNELS

        return STEP_KERNELS, PREFILL_KERNELS
    from engines.magpie import plain

    return plain, plain


def load(options: MagpieOptions) -> Loader:
    """A loader of the checkpoint that `options` name, warm."""

    def load_magpie(_: Wake) -> Magpie:
        started_s = time.monotonic()
        checkpoint = load_checkpoint(
            options.checkpoint,
            codec=options.codec,
            sha256=options.sha256,
            codec_sha256=options.codec_sha256,
            report=logger.info,
        )
        model = Magpie(checkpoint, options)
        logger.info("on the device: %.1f s since the start", time.monotonic() - started_s)
        model.warm_up()
        gc.collect()
        gc.freeze()  # what was loaded stays: a full collection need not walk it
        return model

    return load_magpie
