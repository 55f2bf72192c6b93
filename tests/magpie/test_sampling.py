"""Random numbers that belong to a request, and what is drawn with them."""

from collections.abc import Callable

import msgspec
import pytest
import torch
from torch import Tensor

from engines.magpie import plain
from engines.magpie.checkpoint import Checkpoint
from engines.magpie.sampling import gumbel, philox
from engines.magpie.shape import Recipe, Shape
from engines.magpie.state import State, allocate
from tests.magpie.speaking import CPU, Bare, greedy, job, lively, make_model, speak

ALL_ONES = 0xFFFFFFFF
ALL_SET = (2857, 0, 0, 1755)
"""A seed, step, draw and code whose 24 random bits are all ones, found by search."""

TEXT = "Good morning to you."


def as_int64(value: int) -> int:
    """Two's complement: a seed fills 64 bits."""
    return value - 2**64 if value >= 2**63 else value


# -- random numbers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((ALL_ONES,) * 4, (ALL_ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_the_reference_gives_the_known_answers(
    counter: tuple[int, ...], key: tuple[int, int], words: tuple[int, ...]
) -> None:
    """Random123's `kat_vectors`, philox4x32-10. Two of them have a fourth word in their counter that ours never has."""
    assert reference_philox(counter, key) == words


@pytest.mark.parametrize(
    ("counter", "key"),
    [
        ((0, 0, 0), (0, 0)),
        ((1, 2, 3), (4, 5)),
        ((ALL_ONES,) * 3, (ALL_ONES,) * 2),
        ((0x243F6A88, 0x85A308D3, 0x13198A2E), (0xA4093822, 0x299F31D0)),
        ((2023, 15, 499), (ALL_ONES, ALL_ONES >> 1)),
    ],
)
def test_words_are_philoxs(counter: tuple[int, int, int], key: tuple[int, int]) -> None:
    c0, c1, c2 = counter
    seed = as_int64(key[1] << 32 | key[0])
    word = philox(torch.tensor([seed]), torch.tensor([c0]), c1, torch.tensor([c2]))
    assert int(word) == reference_philox((*counter, 0), key)[0]


def reference_philox(counter: tuple[int, ...], key: tuple[int, int]) -> tuple[int, ...]:
    """Philox 4x32 with 10 rounds, in Python's own integers, as the paper writes it."""
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(10):
        product0, product1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (
            (product1 >> 32) ^ c1 ^ k0,
            product1 & ALL_ONES,
            (product0 >> 32) ^ c3 ^ k1,
            product0 & ALL_ONES,
        )
        k0, k1 = (k0 + 0x9E3779B9) & ALL_ONES, (k1 + 0xBB67AE85) & ALL_ONES
    return c0, c1, c2, c3


def test_noise_depends_on_seed_step_draw_and_code_and_on_nothing_else() -> None:
    seeds, steps = torch.tensor([7, 8, 7, 2**40 + 7]), torch.tensor([3, 3, 4, 3], dtype=torch.int32)
    noise = gumbel(seeds, steps, 2, 2024)
    assert torch.equal(gumbel(seeds[:1], steps[:1], 2, 2024), noise[:1])
    assert torch.equal(gumbel(seeds.flip(0), steps.flip(0), 2, 100), noise.flip(0)[:, :100])
    rows = [*noise, *gumbel(seeds, steps, 3, 2024)]
    assert not any(torch.equal(rows[i], rows[j]) for i in range(8) for j in range(i))


def test_noise_has_gumbels_distribution() -> None:
    noise = gumbel(torch.arange(50), torch.zeros(50, dtype=torch.int32), 0, 2024)
    assert noise.isfinite().all()
    assert abs(float(noise.mean()) - 0.57722) < 0.01
    assert abs(float(noise.std()) - 1.28255) < 0.01


def test_noise_is_finite_where_all_bits_are_set() -> None:
    """A code that got infinite noise would be drawn whatever its logit, or make NaN of one that is closed."""
    seed, step, draw, code = ALL_SET
    noise = gumbel(torch.tensor([seed]), torch.tensor([step], dtype=torch.int32), draw, 2024)
    assert int(philox(torch.tensor([seed]), torch.tensor([code]), draw, torch.tensor([step]))) >> 8 == 0xFFFFFF
    assert noise.isfinite().all()


# -- draws -------------------------------------------------------------------------------------------------------------


def drawn(
    logits: Tensor,
    shape: Shape,
    *,
    top_k: int = 80,
    temperature: float = 1.0,
    step: int = 50,
    seeds: int = 4000,
    recipe: Recipe | None = None,
) -> Tensor:
    """What as many seeds draw from the same logits (N,)."""
    recipe = recipe or Recipe()
    state = allocate_rows(shape, recipe, seeds)
    state.top_k.fill_(top_k)
    state.temperature.fill_(temperature)
    state.step.fill_(step)
    rows, codes = torch.arange(seeds), torch.zeros(seeds, 1, dtype=torch.int32)
    both = torch.cat((logits.expand(seeds, -1), torch.zeros(seeds, len(logits))))
    plain.pick(0, both, state, rows, shape, recipe, codes, None)
    return codes[:, 0].long()


def allocate_rows(shape: Shape, recipe: Recipe, rows: int) -> State:
    """Of many slots, but with next to no caches."""
    small = msgspec.structs.replace(shape, decoder_layers=1, decoder_positions=1, prefix_len=0)
    state = allocate(small, recipe, rows - 1, 8, device=CPU, dtype=torch.float32)
    state.seed.copy_(torch.arange(rows) * 1_000_003 + 17)
    return state


@pytest.fixture
def shape(checkpoint: Callable[[str], Checkpoint]) -> Shape:
    """With fewer codes, so that many draws take little time: 100 of sound, and the special ones behind them."""
    return msgspec.structs.replace(
        checkpoint("tiny").shape, codebook_size=100, num_code_ids=108, audio_bos=100, audio_eos=101
    )


@pytest.fixture
def logits(shape: Shape) -> Tensor:
    """The special ones' are the lowest, so that they are in nobody's way."""
    logits = torch.randn(shape.num_code_ids, generator=torch.Generator().manual_seed(5)) * 2
    logits[shape.codebook_size :] -= 20
    return logits


@pytest.mark.parametrize("temperature", [0.7, 1.5])
def test_draws_have_the_softmaxs_distribution(shape: Shape, logits: Tensor, temperature: float) -> None:
    """Chi-square over the twelve likeliest codes: 31.3 is the 99.9th percentile of its distribution."""
    top = logits[: shape.codebook_size].topk(12)
    codes = drawn(logits, shape, top_k=12, temperature=temperature)
    expected = (top.values / temperature).softmax(0) * len(codes)
    seen = torch.stack([(codes == code).sum() for code in top.indices])
    assert int(seen.sum()) == len(codes)
    assert float(((seen - expected).square() / expected).sum()) < 31.3


def test_nothing_is_drawn_outside_the_top_k(shape: Shape, logits: Tensor) -> None:
    for top_k in (2, 5, 80):
        best = set(logits.topk(top_k).indices.tolist())
        assert set(drawn(logits, shape, top_k=top_k, temperature=2.0).tolist()) <= best


def test_top_k_of_one_is_greedy(shape: Shape, logits: Tensor) -> None:
    best = int(logits[: shape.codebook_size].argmax())
    assert set(drawn(logits, shape, top_k=1, temperature=2.0, seeds=500).tolist()) == {best}


@pytest.mark.parametrize("temperature", [1e-3, 1e-30, 1e-42])
def test_a_temperature_near_zero_is_greedy(shape: Shape, logits: Tensor, temperature: float) -> None:
    best = int(logits[: shape.codebook_size].argmax())
    assert set(drawn(logits, shape, temperature=temperature, seeds=500).tolist()) == {best}


@pytest.mark.parametrize("top_k", [80, 100, 101, 108, 2048])
def test_special_codes_are_never_drawn(shape: Shape, logits: Tensor, top_k: int) -> None:
    """However likely they are, and however many codes may be drawn; but the end may be."""
    logits[shape.codebook_size :] = 9.0
    codes = drawn(logits, shape, top_k=top_k, temperature=2.0)
    assert bool(((codes < shape.codebook_size) | (codes == shape.audio_eos)).all())
    assert bool((codes == shape.audio_eos).any())


@pytest.mark.parametrize(("step", "may_end"), [(0, False), (3, False), (4, True), (9, True)])
def test_the_end_is_not_drawn_before_its_time(shape: Shape, logits: Tensor, step: int, may_end: bool) -> None:
    logits[shape.audio_eos] = 30.0
    codes = drawn(logits, shape, step=step, seeds=200, recipe=Recipe(min_frames=4))
    assert bool((codes == shape.audio_eos).all()) is may_end
    assert bool((codes == shape.audio_eos).any()) is may_end


def test_guidance_goes_from_the_unconditional_half_through_the_conditional_one(shape: Shape) -> None:
    state, recipe = allocate_rows(shape, Recipe(), 3), Recipe()
    state.cfg_scale.copy_(torch.tensor([1.0, 2.5, 0.0]))
    state.step.fill_(50)
    generator = torch.Generator().manual_seed(1)
    conditional, unconditional = torch.randn(2, 3, shape.num_code_ids, generator=generator)
    codes = torch.zeros(3, 1, dtype=torch.int32)
    plain.pick(0, torch.cat((conditional, unconditional)), state, torch.arange(3), shape, recipe, codes, None)
    sound = slice(0, shape.codebook_size)
    scales = state.cfg_scale[:, None]
    guided = (unconditional + scales * (conditional - unconditional))[:, sound]
    assert codes[:, 0].tolist() == guided.argmax(1).tolist()


# -- through the model -------------------------------------------------------------------------------------------------


def test_temperature_zero_is_greedy_whatever_the_seed(checkpoint: Callable[[str], Checkpoint]) -> None:
    known = lively(checkpoint("tiny"), max_frames=10)
    bare, ids = Bare(known), known.tokenizer.encode(TEXT, "en").ids
    bare.prefill(greedy(ids, slot=3))
    for _ in range(10):
        bare.step(3)
    model = make_model(known)
    for params in ({"temperature": 0, "seed": 5}, {"temperature": 0, "top_k": 50}, {"top_k": 1, "seed": 9}):
        (spoken,) = speak(model, job(model, TEXT, **params))
        assert torch.equal(spoken.codes, bare.state.frames[3, : len(spoken.codes)]), params
        assert len(spoken.codes) >= 4


def test_what_is_not_asked_for_is_the_checkpoints(checkpoint: Callable[[str], Checkpoint]) -> None:
    known = lively(checkpoint("tiny"), max_frames=10, temperature=0.9, top_k=33, cfg_scale=1.7)
    model = make_model(known)
    own, same, other = (
        speak(model, job(model, TEXT, seed=4, **params))[0].codes
        for params in ({}, {"temperature": 0.9, "top_k": 33, "cfg_scale": 1.7}, {"cfg_scale": 9.0})
    )
    assert torch.equal(own, same)
    assert not torch.equal(own, other)


def test_the_largest_seed_is_taken(checkpoint: Callable[[str], Checkpoint]) -> None:
    known = lively(checkpoint("tiny"), max_frames=4)
    model = make_model(known)
    large, low = (speak(model, job(model, TEXT, seed=seed))[0].codes for seed in (2**63 - 1, 2**32 - 1))
    assert not torch.equal(large, low), "all 64 bits of a seed count"
