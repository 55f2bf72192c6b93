# pyright: basic, reportMissingImports=false
# ruff: noqa: SIM108
"""Triton kernels of the codec decoder: convolutions as sums of shifted matrix products, everything else fused in.

Layout: activations are (group, row, time, channel), channels padded to a multiple of 32 with zeros, the three residual
blocks of a stage being the groups of one launch. A layer's past inputs are in `state`, flat, two copies of each slot:
a call reads one (at `bases[row, 0]`) and writes the other (at `bases[row, 1]`), so that programs never wait for one
another. Accumulation, biases and activations are float32.
"""

import triton
import triton.language as tl

# sin(pi r)^2 = z P(z) for z = r^2 below 1/4, to 6e-9 (2e-7 in float32): least squares, reweighted to equal ripple
_P0 = tl.constexpr(9.869603157043457)
_P1 = tl.constexpr(-32.469581604003906)
_P2 = tl.constexpr(42.72538375854492)
_P3 = tl.constexpr(-30.085952758789062)
_P4 = tl.constexpr(12.990730285644531)
_P5 = tl.constexpr(-3.2729458808898926)
_ROUND = tl.constexpr(12582912.0)  # 1.5 * 2^23: adding and subtracting it rounds a float32 to an integer


@triton.jit
def activate(x, frequency, inverse, slope, IS_ELU: tl.constexpr):
    """leaky(x) + inverse * sin(pi * frequency * x)^2, or ELU."""
    if IS_ELU:
        y = tl.where(x > 0, x, tl.exp(tl.minimum(x, 0.0)) - 1.0)
    else:
        turns = x * frequency
        r = turns - ((turns + _ROUND) - _ROUND)
        z = r * r
        p = ((((_P5 * z + _P4) * z + _P3) * z + _P2) * z + _P1) * z + _P0
        y = tl.maximum(x, x * slope) + inverse * (z * p)
    return y


@triton.jit
def begin(
    codes, slots, turns, bases, table, z, num_rows, num_frames,
    STATE: tl.constexpr, K: tl.constexpr, SIZE: tl.constexpr, DIM: tl.constexpr, STRIDE: tl.constexpr,
    WIDTH: tl.constexpr,
):  # fmt: skip
    """One program a row: where its slot's state is read and written in this call; its codes, looked up, with zeros up
    to STRIDE channels. WIDTH: STRIDE's next power of two."""
    row = tl.program_id(0)
    slot = tl.load(slots + row).to(tl.int64)
    turn = tl.load(turns + slot).to(tl.int64)
    tl.store(turns + slot, (1 - turn).to(tl.int32))
    tl.store(bases + 2 * row, (turn * num_rows + slot) * STATE)
    tl.store(bases + 2 * row + 1, ((1 - turn) * num_rows + slot) * STATE)
    d = tl.arange(0, WIDTH)
    book = tl.minimum(d // DIM, K - 1)
    is_value = d < K * DIM
    for f in range(num_frames):
        code = tl.load(codes + (row * num_frames + f) * K + book).to(tl.int32)
        code = ((code % SIZE) + SIZE) % SIZE
        value = tl.load(table + (book * SIZE + code) * DIM + d % DIM, mask=is_value, other=0.0)
        tl.store(z + (row * num_frames + f) * STRIDE + d, value.to(z.dtype.element_ty), mask=d < STRIDE)


@triton.jit(do_not_specialize=["num_rows", "T", "dilation", "has_residual", "has_raw", "has_activated"])
def convolve(
    x, residual, raw, activated, weight, bias, frequency, inverse, slope, spec, state, bases,
    x_group, residual_group, out_group, num_rows, T, dilation, has_residual, has_raw, has_activated,
    CIN: tl.constexpr, COUT: tl.constexpr, IS_ELU: tl.constexpr, PRECISION: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
):  # fmt: skip
    """y = conv(x) + bias [+ residual]; store y, or its activation, or both; and x's end as the layer's new state.

    spec (group, 4) int32: the group's first weight, its taps, and where its state begins in a slot's. weight: (taps,
    COUT, CIN) a group. A program makes BM positions (of whichever rows) by BN channels of a group.
    """
    first_n = tl.program_id(0) * BN
    first_m = tl.program_id(1) * BM
    g = tl.program_id(2)
    first_weight = tl.multiple_of(tl.load(spec + g * 4), 32)
    taps = tl.load(spec + g * 4 + 1)
    first_state = tl.multiple_of(tl.load(spec + g * 4 + 2), 32)
    history = (taps - 1) * dilation
    num_m = num_rows * T

    m = first_m + tl.arange(0, BM)
    n = first_n + tl.arange(0, BN)
    k = tl.arange(0, BK)
    clamped = tl.minimum(m, num_m - 1)
    row = clamped // T
    t = clamped - row * T
    old = tl.multiple_of(tl.load(bases + 2 * row), 32)
    x_here = x + g * x_group + clamped * CIN
    state_here = state + old + (first_state + (history + t) * CIN)
    w = weight + first_weight + n[:, None] * CIN + k[None, :]
    acc = tl.zeros((BM, BN), dtype=tl.float32)
    STEPS: tl.constexpr = CIN // BK
    for i in range(0, taps * STEPS):
        tap = i // STEPS
        c = (i - tap * STEPS) * BK
        back = (taps - 1 - tap) * dilation
        source = tl.where(t >= back, x_here, state_here) + (c - back * CIN)
        a = tl.load(source[:, None] + k[None, :])
        if COUT % BN == 0:
            b = tl.load(w + (tap * (COUT * CIN) + c))
        else:
            b = tl.load(w + (tap * (COUT * CIN) + c), mask=n[:, None] < COUT, other=0.0)
        acc = tl.dot(a, b.T, acc, input_precision=PRECISION)

    in_n = n < COUT
    inside = (m < num_m)[:, None] & in_n[None, :]
    at = clamped[:, None] * COUT + n[None, :]
    parameter = g * COUT + n
    y = acc + tl.load(bias + parameter, mask=in_n, other=0.0)[None, :]
    if has_residual != 0:
        y += tl.load(residual + g * residual_group + at, mask=inside, other=0.0).to(tl.float32)
    if has_raw != 0:
        tl.store(raw + g * out_group + at, y.to(raw.dtype.element_ty), mask=inside)
    if has_activated != 0:
        f = tl.load(frequency + parameter, mask=in_n, other=0.0)[None, :]
        v = tl.load(inverse + parameter, mask=in_n, other=0.0)[None, :]
        s = tl.load(slope + parameter, mask=in_n, other=0.0)[None, :]
        y = activate(y, f, v, s, IS_ELU)
        tl.store(activated + g * out_group + at, y.to(activated.dtype.element_ty), mask=inside)

    num_kept = num_rows * history
    in_k = (n < CIN)[None, :]
    for start in range(first_m, num_kept, tl.num_programs(1) * BM):
        item = start + tl.arange(0, BM)
        kept = tl.minimum(item, num_kept - 1)
        of_row = kept // history
        h = kept - of_row * history
        place = h + T  # in the state and x, one after the other
        read = tl.multiple_of(tl.load(bases + 2 * of_row), 32)
        written = tl.multiple_of(tl.load(bases + 2 * of_row + 1), 32)
        from_x = x + g * x_group + (of_row * T + place - history) * CIN
        from_state = state + read + (first_state + place * CIN)
        pointer = tl.where(place >= history, from_x, from_state)
        mask = (item < num_kept)[:, None] & in_k
        value = tl.load(pointer[:, None] + n[None, :], mask=mask, other=0.0)
        target = state + written + (first_state + h * CIN)
        tl.store(target[:, None] + n[None, :], value, mask=mask)


@triton.jit
def mean_activated(x, x_group, at, mask, f, v, s, GROUPS: tl.constexpr, IS_ELU: tl.constexpr):
    """The activation of the mean over groups, rounded as a stored one would be."""
    total = tl.load(x + at, mask=mask, other=0.0).to(tl.float32)
    for g in tl.static_range(1, GROUPS):
        total += tl.load(x + g * x_group + at, mask=mask, other=0.0).to(tl.float32)
    y = activate(total * (1.0 / GROUPS), f, v, s, IS_ELU)
    return y.to(x.dtype.element_ty).to(tl.float32)


@triton.jit(do_not_specialize=["num_rows", "T", "first_state"])
def upsample(
    x, raw, activated, weight, bias, in_frequency, in_inverse, in_slope, frequency, inverse, slope, state, bases,
    x_group, out_group, num_rows, T, first_state,
    CIN: tl.constexpr, COUT: tl.constexpr, RATE: tl.constexpr, IN_GROUPS: tl.constexpr, GROUPS: tl.constexpr,
    IS_ELU: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """The transposed convolution of two inputs an output, of activate(mean over the groups of x): y, and its
    activation for each of the next groups. A program makes BM inputs' RATE outputs each, BN channels wide.
    weight: (2 inputs, 2 * RATE, COUT) float32."""
    c = tl.program_id(0) * BN + tl.arange(0, BN)
    m = tl.program_id(1) * BM + tl.arange(0, BM)
    num_m = num_rows * T
    clamped = tl.minimum(m, num_m - 1)
    row = clamped // T
    t = clamped - row * T
    old = tl.load(bases + 2 * row) + first_state
    new = tl.load(bases + 2 * row + 1) + first_state
    in_m = (m < num_m)[:, None]
    has_past = (t > 0)[:, None]
    is_last = (t == T - 1)[:, None]
    in_c = c < COUT
    outside = (m * 0).to(tl.float32)[:, None]
    for side in tl.static_range(2):
        j = 2 * c + side
        in_j = j < CIN
        f = tl.load(in_frequency + j, mask=in_j, other=0.0)[None, :]
        v = tl.load(in_inverse + j, mask=in_j, other=0.0)[None, :]
        s = tl.load(in_slope + j, mask=in_j, other=0.0)[None, :]
        at = clamped[:, None] * CIN + j[None, :]
        here = mean_activated(x, x_group, at, in_j[None, :], f, v, s, IN_GROUPS, IS_ELU)
        before = mean_activated(x, x_group, at - CIN, in_j[None, :] & has_past, f, v, s, IN_GROUPS, IS_ELU)
        kept = tl.load(state + old[:, None] + j[None, :], mask=in_j[None, :] & (t == 0)[:, None], other=0.0)
        before = tl.where(has_past, before, kept.to(tl.float32))
        last = in_m & in_j[None, :] & is_last
        tl.store(state + new[:, None] + j[None, :], here.to(state.dtype.element_ty), mask=last)
        if side == 0:
            here0, before0 = here, before
        else:
            here1, before1 = here, before
    b = tl.load(bias + c, mask=in_c, other=0.0)[None, :] + outside
    inside = in_m & in_c[None, :]
    for phase in range(RATE):
        w00 = tl.load(weight + phase * COUT + c, mask=in_c, other=0.0)[None, :]
        w01 = tl.load(weight + (RATE + phase) * COUT + c, mask=in_c, other=0.0)[None, :]
        w10 = tl.load(weight + (2 * RATE + phase) * COUT + c, mask=in_c, other=0.0)[None, :]
        w11 = tl.load(weight + (3 * RATE + phase) * COUT + c, mask=in_c, other=0.0)[None, :]
        y = b + here0 * w00 + here1 * w10 + before0 * w01 + before1 * w11
        at = (clamped * RATE + phase)[:, None] * COUT + c[None, :]
        tl.store(raw + at, y.to(raw.dtype.element_ty), mask=inside)
        for g in tl.static_range(GROUPS):
            f = tl.load(frequency + g * COUT + c, mask=in_c, other=0.0)[None, :]
            v = tl.load(inverse + g * COUT + c, mask=in_c, other=0.0)[None, :]
            s = tl.load(slope + g * COUT + c, mask=in_c, other=0.0)[None, :]
            value = activate(y, f, v, s, IS_ELU).to(activated.dtype.element_ty)
            tl.store(activated + g * out_group + at, value, mask=inside)


@triton.jit(do_not_specialize=["num_rows", "T", "first_state"])
def finish(
    x, out, weight, bias, in_frequency, in_inverse, in_slope, state, bases,
    x_group, num_rows, T, first_state, low, high,
    CIN: tl.constexpr, TAPS: tl.constexpr, IN_GROUPS: tl.constexpr, IS_TANH: tl.constexpr, IS_ELU: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """The last convolution, to one channel, of activate(mean over the groups of x). BN: CIN's next power of two."""
    m = tl.program_id(0) * BM + tl.arange(0, BM)
    c = tl.arange(0, BN)
    num_m = num_rows * T
    clamped = tl.minimum(m, num_m - 1)
    row = clamped // T
    t = clamped - row * T
    old = tl.load(bases + 2 * row) + first_state
    new = tl.load(bases + 2 * row + 1) + first_state
    in_c = (c < CIN)[None, :]
    f = tl.load(in_frequency + c, mask=c < CIN, other=0.0)[None, :]
    v = tl.load(in_inverse + c, mask=c < CIN, other=0.0)[None, :]
    s = tl.load(in_slope + c, mask=c < CIN, other=0.0)[None, :]
    y = tl.zeros((BM,), dtype=tl.float32) + tl.load(bias)
    for tap in tl.static_range(TAPS):
        back = TAPS - 1 - tap
        is_new = (t >= back)[:, None]
        at = (clamped - back)[:, None] * CIN + c[None, :]
        value = mean_activated(x, x_group, at, in_c & is_new, f, v, s, IN_GROUPS, IS_ELU)
        at = (old + (TAPS - 1 + t - back) * CIN)[:, None] + c[None, :]
        kept = tl.load(state + at, mask=in_c & (t < back)[:, None], other=0.0).to(tl.float32)
        value = tl.where(is_new, value, kept)
        w = tl.load(weight + tap * CIN + c, mask=c < CIN, other=0.0)[None, :]
        y += tl.sum(value * w, axis=1)
        if back == 0:
            h = t - (T - (TAPS - 1))
            at = (new + h * CIN)[:, None] + c[None, :]
            tl.store(state + at, value.to(state.dtype.element_ty), mask=in_c & ((h >= 0) & (m < num_m))[:, None])
    if IS_TANH:
        y = 1.0 - 2.0 / (tl.exp(2.0 * y) + 1.0)
    else:
        y = tl.minimum(tl.maximum(y, low), high)
    tl.store(out + clamped, y, mask=m < num_m)
