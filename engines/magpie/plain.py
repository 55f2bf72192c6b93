"""The operations of a decoder step in plain PyTorch: what the kernels must equal, and what runs on a CPU.

Legend as in `state`; B rows of the batch; the halves of a step stand one behind the other, 2B rows: conditional first.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from engines.magpie import prior
from engines.magpie.sampling import gumbel
from engines.magpie.shape import Recipe, Shape
from engines.magpie.state import State
from engines.magpie.weights import NORM_EPSILON, Linear


def norm(x: Tensor, gain: Tensor | None = None) -> Tensor:
    """Layer norm over the last dimension, float32."""
    return F.layer_norm(x.float(), x.shape[-1:], gain, None, NORM_EPSILON)


def linear(x: Tensor, by: Linear, *, has_gelu: bool = False, is_exact: bool = False) -> Tensor:
    """(rows, out) in the weight's type, or float32 where `is_exact`: for what is compared or summed, not multiplied."""
    if by.is_normed:
        x = norm(x)
    bias = None if by.bias is None else by.bias.to(by.weight.dtype)
    y = F.linear(x.to(by.weight.dtype), by.weight, bias)
    y = y.float() if is_exact else y
    return F.gelu(y, approximate="tanh") if has_gelu else y


def add_linear(residual: Tensor, x: Tensor, by: Linear) -> None:
    """residual += x @ weight.T, in place. `residual` is float32."""
    residual += linear(x, by)


def project(x: Tensor, by: Linear, keys: Tensor, values: Tensor, cache_rows: Tensor, positions: Tensor) -> Tensor:
    """Queries (rows, H * E); keys and values go into the caches (R, H, T, E) at each row's cache row and position."""
    return project_all(x, by, keys, values, cache_rows, positions)[:, : len(by.weight) // 3]


def project_all(x: Tensor, by: Linear, keys: Tensor, values: Tensor, cache_rows: Tensor, positions: Tensor) -> Tensor:
    """As `project`, but queries, keys and values (rows, 3 * H * E) are returned as well."""
    _, heads, _, width = keys.shape
    y = linear(x, by)
    _, k, v = y.view(len(x), 3, heads, width).unbind(1)
    keys[cache_rows, :, positions.long()] = k.to(keys.dtype)
    values[cache_rows, :, positions.long()] = v.to(values.dtype)
    return y


def attend(q: Tensor, keys: Tensor, values: Tensor, cache_rows: Tensor, positions: Tensor) -> Tensor:
    """Attention (rows, H * E) of one query a row to its cache up to and with its position."""
    _, heads, _, width = keys.shape
    last = int(positions.max()) + 1 if keys.device.type == "cpu" else keys.shape[2]
    k, v = keys[cache_rows, :, :last].float(), values[cache_rows, :, :last].float()
    scores = torch.einsum("bhe,bhte->bht", q.float().reshape(-1, heads, width), k) * width**-0.5
    is_later = torch.arange(last, device=q.device)[None] > positions[:, None]
    attention = scores.masked_fill(is_later[:, None], float("-inf")).softmax(-1)
    return torch.einsum("bht,bhte->bhe", attention, v).reshape(q.shape).to(q.dtype)


def attend_text(
    q: Tensor,
    keys: Tensor,
    values: Tensor,
    rows: Tensor,
    state: State,
    recipe: Recipe,
    *,
    has_prior: bool,
    reach: Tensor | None,
) -> Tensor:
    """Attention (B, A) to each row's text. What the tokens from the row's window on get is added to `reach` (B, W)."""
    token = torch.arange(state.max_tokens, device=q.device)[None]
    scores = torch.einsum("ba,bxa->bx", q.float(), keys[rows].float()) * q.shape[1] ** -0.5
    attention = scores.masked_fill(token >= state.text_len[rows, None], float("-inf")).softmax(-1)
    if has_prior:
        attention = attention * prior.weights(state, rows, recipe)
        attention = attention / attention.sum(-1, keepdim=True)
    if reach is not None:
        places = state.window[rows, None] + torch.arange(reach.shape[1], device=q.device)[None]
        reach += attention.gather(1, places.clamp(max=state.max_tokens - 1).long())
    return torch.einsum("bx,bxa->ba", attention, values[rows].float()).to(q.dtype)


def embed(state: State, rows: Tensor, table: Tensor, positions: Tensor) -> Tensor:
    """What a step reads (2B, D) float32: its codes' embeddings and its position's, the same for both halves."""
    draws = torch.arange(table.shape[0], device=rows.device)[None]
    x = table[draws, state.codes[rows].long()].sum(1) + positions[state.position[rows].long()]
    return x.repeat(2, 1)


def follow(state: State, rows: Tensor, reach: Tensor, recipe: Recipe) -> None:
    prior.follow(state, rows, reach, recipe)


def find_ends(logits: Tensor, state: State, rows: Tensor, shape: Shape, recipe: Recipe) -> Tensor:
    """Whether the end is the likeliest code of each draw (B, C), by the decoder's own logits (2B, C * N)."""
    logits = _guided(logits, state, rows).view(len(rows), shape.num_draws, shape.num_code_ids)
    _apply_end_rules(logits, state, rows, shape, recipe)
    return logits.argmax(-1) == shape.audio_eos


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
    """Draw a code of each row into `codes` (B, C). Returns what it feeds to the next draw (2B, local D), by `table`."""
    logits = _guided(logits, state, rows)
    _apply_end_rules(logits[:, None], state, rows, shape, recipe)
    top_k = state.top_k[rows].long().clamp(max=shape.num_code_ids)
    threshold = logits.sort(-1, descending=True).values.gather(1, top_k[:, None] - 1)
    noise = gumbel(state.seed[rows], state.step[rows], draw, shape.num_code_ids)
    scores = logits + state.temperature[rows, None] * noise
    code = torch.where(top_k == 1, logits.argmax(-1), scores.masked_fill(logits < threshold, float("-inf")).argmax(-1))
    codes[:, draw] = code.int()
    return None if table is None else table[draw, code].repeat(2, 1)


def advance(state: State, rows: Tensor, codes: Tensor, ends: Tensor, shape: Shape, recipe: Recipe) -> Tensor:
    """Store the step's frames and move each row on. Returns (B, 2) int32 for the host: attended token, end frame."""
    is_end = ends if recipe.eos_from == "argmax" else ends | (codes == shape.audio_eos)
    by_frame = is_end.view(len(rows), shape.stacking, shape.num_codebooks)
    is_end = {"any": by_frame.any(-1), "all": by_frame.all(-1), "first": by_frame[:, :, 0]}[recipe.eos_in]
    step, offsets = state.step[rows], torch.arange(shape.stacking, device=rows.device)
    frame = step[:, None] * shape.stacking + offsets
    found = torch.where(is_end, frame, torch.iinfo(torch.int32).max).amin(1).int()
    ended = state.end_frame[rows]
    ended = torch.where((ended < 0) & is_end.any(1), found, ended)
    places = frame.clamp(max=state.frames.shape[1] - 1).long()
    state.frames[rows[:, None], places] = codes.view(len(rows), shape.stacking, shape.num_codebooks)
    state.end_frame[rows] = ended
    state.codes[rows] = codes
    state.step[rows] = step + 1
    state.position[rows] = (state.position[rows] + 1).clamp(max=state.max_positions - 1)
    return torch.stack((state.attended[rows], ended), 1)


def _guided(logits: Tensor, state: State, rows: Tensor) -> Tensor:
    """Classifier-free guidance: from the unconditional half's logits through the conditional half's, and beyond."""
    scale = state.cfg_scale[rows, None]
    conditional, unconditional = logits.float().chunk(2)
    return scale * conditional + (1.0 - scale) * unconditional


def _apply_end_rules(logits: Tensor, state: State, rows: Tensor, shape: Shape, recipe: Recipe) -> None:
    """Close the special codes, in place: (B, draws, N)."""
    is_forbidden, is_forced = prior.end_rules(state, rows, recipe, shape.stacking)
    end = logits[:, :, shape.audio_eos].clone()
    logits[:, :, shape.codebook_size :] = float("-inf")
    logits[is_forced] = float("-inf")
    end = torch.where(is_forbidden[:, None] & ~is_forced[:, None], float("-inf"), end)
    logits[:, :, shape.audio_eos] = torch.where(is_forced[:, None], 0.0, end)
