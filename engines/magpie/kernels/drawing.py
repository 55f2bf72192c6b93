"""Around the products of a step: what it reads, where it is in the text, which codes it draws, whether it ends.

Each kernel is one program a row of the batch; what it does is `plain`'s and `prior`'s function of the same name.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from engines.magpie import prior
from engines.magpie.shape import Recipe, Shape
from engines.magpie.state import State

_SINK_COUNT = tl.constexpr(prior.SINK_COUNT)
_CLOSE_COUNT = tl.constexpr(prior.CLOSE_COUNT)
_IGNORED_END = tl.constexpr(prior.IGNORED_END)
_PATIENT_STEPS = tl.constexpr(prior.PATIENT_STEPS)
_FORCED_STEPS = tl.constexpr(prior.FORCED_STEPS)
_LOWEST = tl.constexpr(-(2**31))


def embed(state: State, rows: Tensor, table: Tensor, positions: Tensor) -> Tensor:
    num_draws, num_codes, width = table.shape
    x = torch.empty(2 * len(rows), width, dtype=torch.float32, device=rows.device)
    block = min(256, triton.next_power_of_2(width))
    _embed[(len(rows), triton.cdiv(width, block))](
        rows, state.codes, state.position, table, positions, x, len(rows), num_codes, width, num_draws, block
    )
    return x


def follow(state: State, rows: Tensor, reach: Tensor, recipe: Recipe) -> None:
    _follow[(len(rows),)](
        rows, reach, state.text_len, state.attended, state.window, state.counts, state.sunk, state.near_end, state.step,
        state.max_tokens, recipe.prior_lookahead, recipe.prior_start_step if recipe.has_prior else 0,
        triton.next_power_of_2(recipe.prior_lookahead + 1), num_warps=1,
    )  # fmt: skip


def find_ends(logits: Tensor, state: State, rows: Tensor, shape: Shape, recipe: Recipe) -> Tensor:
    ends = torch.empty(len(rows), shape.num_draws, dtype=torch.int32, device=rows.device)
    _find_ends[(len(rows), shape.num_draws)](
        logits, rows, state.cfg_scale, state.step, state.attended, state.text_len, state.near_end, ends, len(rows),
        shape.num_code_ids, shape.codebook_size, shape.audio_eos, shape.stacking, recipe.min_frames,
        recipe.prior_start_step, recipe.tracks_text_end and recipe.has_prior, shape.num_draws,
        triton.next_power_of_2(shape.num_code_ids), num_warps=4,
    )  # fmt: skip
    return ends


def pick(
    draw: int,
    logits: Tensor,
    state: State,
    rows: Tensor,
    shape: Shape,
    recipe: Recipe,
    codes: Tensor,
    table: Tensor | None,
) -> Tensor | None:
    width = 1 if table is None else table.shape[2]
    x = None if table is None else torch.empty(2 * len(rows), width, dtype=torch.float32, device=rows.device)
    _pick[(len(rows),)](
        logits, rows, state.cfg_scale, state.temperature, state.top_k, state.seed,
        state.step, state.attended, state.text_len, state.near_end,
        codes, logits if table is None else table, logits if x is None else x, draw, len(rows),
        shape.num_code_ids, shape.codebook_size, shape.audio_eos, shape.stacking, recipe.min_frames,
        recipe.prior_start_step, width,
        recipe.tracks_text_end and recipe.has_prior, table is not None, shape.num_draws,
        triton.next_power_of_2(shape.num_code_ids), triton.next_power_of_2(width), num_warps=8,
    )  # fmt: skip
    return x


def advance(state: State, rows: Tensor, codes: Tensor, ends: Tensor, shape: Shape, recipe: Recipe) -> Tensor:
    report = torch.empty(len(rows), 2, dtype=torch.int32, device=rows.device)
    _advance[(len(rows),)](
        rows, codes, ends, report,
        state.codes, state.frames, state.end_frame, state.step, state.position, state.attended,
        state.frames.shape[1], state.max_positions, shape.audio_eos, recipe.eos_from == "either",
        {"any": 0, "all": 1, "first": 2}[recipe.eos_in], shape.stacking, shape.num_codebooks,
        triton.next_power_of_2(shape.num_draws), num_warps=1,
    )  # fmt: skip
    return report


@triton.jit
def _embed(
    rows, codes, position, table, positions, x, num_rows, num_codes, width, DRAWS: tl.constexpr, BLOCK: tl.constexpr
):
    row = tl.program_id(0)
    slot = tl.load(rows + row)
    e = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    is_inside = e < width
    acc = tl.zeros((BLOCK,), tl.float32)
    for draw in tl.static_range(DRAWS):
        code = tl.load(codes + slot * DRAWS + draw)
        acc += tl.load(table + (draw * num_codes + code) * width + e, mask=is_inside, other=0.0)
    acc += tl.load(positions + tl.load(position + slot) * width + e, mask=is_inside, other=0.0)
    tl.store(x + row * width + e, acc, mask=is_inside)
    tl.store(x + (num_rows + row) * width + e, acc, mask=is_inside)


@triton.jit
def _follow(
    rows, reach, text_len, attended, window, counts, sunk, near_end, step,
    max_tokens, lookahead, start_step, REACH: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0)
    slot = tl.load(rows + row)
    if tl.load(step + slot) >= start_step:
        first = tl.load(window + slot)
        length = tl.load(text_len + slot)
        last = tl.minimum(first + lookahead, length - _IGNORED_END)
        o = tl.arange(0, REACH)
        is_inside = (first + o < last) & (o <= lookahead)
        value = tl.load(reach + row * (lookahead + 1) + o, mask=is_inside, other=-1.0)
        here = tl.where(first < last, first + tl.argmax(value, 0), length - 1)
        count = tl.load(counts + slot * max_tokens + here) + 1
        tl.store(counts + slot * max_tokens + here, count)
        tl.store(attended + slot, here)
        closed = tl.load(sunk + slot)
        tl.store(sunk + slot, tl.where(count >= _CLOSE_COUNT, tl.maximum(closed, here), closed))
        tl.store(window + slot, here + (count >= _SINK_COUNT).to(tl.int32))
        near = tl.load(near_end + slot)
        tl.store(near_end + slot, tl.where((near > 0) | (here >= length - 2), near + 1, near))


@triton.jit
def _end_rules(
    step, attended, text_len, near_end, STACKING: tl.constexpr, min_frames, start_step, TRACKS: tl.constexpr
):
    """Whether the end is forbidden and whether it is forced."""
    is_forbidden = step * STACKING < min_frames
    is_forced = False
    if TRACKS:
        is_known = step >= start_step
        is_early = (attended < text_len - _IGNORED_END) & (near_end <= _PATIENT_STEPS)
        is_forbidden = is_forbidden | (is_known & is_early)
        is_forced = is_known & (near_end >= _FORCED_STEPS)
    return is_forbidden, is_forced


@triton.jit
def _find_ends(
    logits, rows, cfg_scale, step, attended, text_len, near_end, ends, num_rows,
    num_codes, codebook_size, audio_eos, STACKING: tl.constexpr, min_frames, start_step,
    TRACKS: tl.constexpr, DRAWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row, draw = tl.program_id(0), tl.program_id(1)
    slot = tl.load(rows + row)
    scale = tl.load(cfg_scale + slot)
    n = tl.arange(0, BLOCK)
    is_sound = n < codebook_size
    conditional = logits + (row * DRAWS + draw) * num_codes
    unconditional = logits + ((num_rows + row) * DRAWS + draw) * num_codes
    c = tl.load(conditional + n, mask=is_sound, other=0.0).to(tl.float32)
    u = tl.load(unconditional + n, mask=is_sound, other=0.0).to(tl.float32)
    best = tl.max(tl.where(is_sound, scale * c + (1.0 - scale) * u, -float("inf")), 0)
    end = scale * tl.load(conditional + audio_eos).to(tl.float32)
    end += (1.0 - scale) * tl.load(unconditional + audio_eos).to(tl.float32)
    is_forbidden, is_forced = _end_rules(
        tl.load(step + slot), tl.load(attended + slot), tl.load(text_len + slot), tl.load(near_end + slot),
        STACKING, min_frames, start_step, TRACKS,
    )  # fmt: skip
    is_end = ((end > best) & (is_forbidden == 0)) | is_forced
    tl.store(ends + row * DRAWS + draw, is_end.to(tl.int32))


@triton.jit
def _pick(
    logits, rows, cfg_scale, temperature, top_k, seed, step, attended, text_len, near_end,
    codes, table, x, draw, num_rows,
    num_codes, codebook_size, audio_eos, STACKING: tl.constexpr, min_frames, start_step, width,
    TRACKS: tl.constexpr, HAS_NEXT: tl.constexpr, DRAWS: tl.constexpr, BLOCK: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0)
    slot = tl.load(rows + row)
    scale = tl.load(cfg_scale + slot)
    now = tl.load(step + slot)
    is_forbidden, is_forced = _end_rules(
        now, tl.load(attended + slot), tl.load(text_len + slot), tl.load(near_end + slot),
        STACKING, min_frames, start_step, TRACKS,
    )  # fmt: skip
    n = tl.arange(0, BLOCK)
    is_code = n < num_codes
    c = tl.load(logits + row * num_codes + n, mask=is_code, other=0.0).to(tl.float32)
    u = tl.load(logits + (num_rows + row) * num_codes + n, mask=is_code, other=0.0).to(tl.float32)
    value = scale * c + (1.0 - scale) * u
    is_allowed = ((n < codebook_size) & (is_forced == 0)) | ((n == audio_eos) & ((is_forbidden == 0) | is_forced))
    value = tl.where(is_allowed, value, -float("inf"))
    # the k-th largest, two bits at a time: the largest integer that at least k of the values reach, read as ordered
    # integers
    bits = value.to(tl.int32, bitcast=True)
    key = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    k = tl.load(top_k + slot)
    threshold = tl.where(tl.sum((key >= 0).to(tl.int32), 0) >= k, 0, _LOWEST)
    for index in range(15):  # two bits at a time: three counts in one sum
        low = 1 << (29 - 2 * index)
        one, two, three = threshold | low, threshold | (2 * low), threshold | (3 * low)
        reached = (key >= one).to(tl.int64) + ((key >= two).to(tl.int64) << 20) + ((key >= three).to(tl.int64) << 40)
        counts = tl.sum(reached, 0)
        best = tl.where((counts & 0xFFFFF) >= k, one, threshold)
        best = tl.where(((counts >> 20) & 0xFFFFF) >= k, two, best)
        threshold = tl.where((counts >> 40) >= k, three, best)
    threshold = tl.where(tl.sum((key >= (threshold | 1)).to(tl.int32), 0) >= k, threshold | 1, threshold)
    zero = (n * 0).to(tl.uint32)
    what, when = (n * 0 + draw).to(tl.uint32), (n * 0 + now).to(tl.uint32)
    word = tl.philox(tl.load(seed + slot), n.to(tl.uint32), what, when, zero)[0]
    uniform = ((word >> 9).to(tl.int32).to(tl.float32) + 0.5) * 1.1920928955078125e-07  # 2^-23
    noisy = value - tl.load(temperature + slot) * tl.log(-tl.log(uniform))
    score = tl.where(k == 1, value, noisy)
    code = tl.argmax(tl.where((key >= threshold) & is_allowed, score, -float("inf")), 0)
    tl.store(codes + row * DRAWS + draw, code)
    if HAS_NEXT:
        e = tl.arange(0, WIDTH)
        next_x = tl.load(table + (draw * num_codes + code) * width + e, mask=e < width, other=0.0)
        tl.store(x + row * width + e, next_x, mask=e < width)
        tl.store(x + (num_rows + row) * width + e, next_x, mask=e < width)


@triton.jit
def _advance(
    rows, codes, ends, report, last_codes, frames, end_frame, step, position, attended,
    max_frames, max_positions, audio_eos, COUNTS_DRAWN: tl.constexpr, HOW: tl.constexpr,
    STACKING: tl.constexpr, CODEBOOKS: tl.constexpr, DRAWS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0)
    slot = tl.load(rows + row)
    now = tl.load(step + slot)
    d = tl.arange(0, DRAWS)
    is_draw = d < STACKING * CODEBOOKS
    code = tl.load(codes + row * STACKING * CODEBOOKS + d, mask=is_draw, other=0)
    is_end = tl.load(ends + row * STACKING * CODEBOOKS + d, mask=is_draw, other=0)
    if COUNTS_DRAWN:
        is_end = tl.maximum(is_end, (code == audio_eos).to(tl.int32))
    ended = tl.load(end_frame + slot)
    for index in tl.static_range(STACKING):
        frame = now * STACKING + index
        is_here = is_draw & (d // CODEBOOKS == index)
        if HOW == 0:
            is_over = tl.max(tl.where(is_here, is_end, 0), 0)
        elif HOW == 1:
            is_over = tl.min(tl.where(is_here, is_end, 1), 0)
        else:
            is_over = tl.max(tl.where(is_here & (d % CODEBOOKS == 0), is_end, 0), 0)
        ended = tl.where((ended < 0) & (is_over > 0), frame, ended)
        place = (slot * max_frames + tl.minimum(frame, max_frames - 1)) * CODEBOOKS + d - index * CODEBOOKS
        tl.store(frames + place, code, mask=is_here)
    tl.store(last_codes + slot * STACKING * CODEBOOKS + d, code, mask=is_draw)
    tl.store(end_frame + slot, ended)
    tl.store(step + slot, now + 1)
    tl.store(position + slot, tl.minimum(tl.load(position + slot) + 1, max_positions - 1))
    tl.store(report + row * 2, tl.load(attended + slot))
    tl.store(report + row * 2 + 1, ended)
