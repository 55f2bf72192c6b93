"""Greedy codes are NeMo's, frame by frame and to the end, of checkpoints that NeMo wrote and reads back.

A code that differs is excused only where NeMo itself hardly prefers its own: where its two best logits lie within
`CLOSE`. Then the decoder is put back on NeMo's way and the rest is compared; how often that was is printed.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from nemo.collections.tts.models import magpietts
from nemo.collections.tts.models.magpietts import MagpieTTSModel, ModelInferenceParameters
from nemo.collections.tts.modules import magpietts_modules
from torch import Tensor

from engines.magpie.checkpoint import Checkpoint, _recipe, load
from tests.magpie.random_checkpoint import write_checkpoint
from tests.magpie.speaking import VOICE_LIVELINESS, Bare, error_of, greedy, job, liveliness, make_model, speak

CLOSE = 1e-4
MAX_EXCUSED = 0.001
"""Of all codes: random weights decide some of them by less than float32 resolves."""

EAGERNESS = 3.0
"""What is added to an end's logit where ends are wanted: one comes after some ten frames."""

MAX_FRAMES = 32
TEXTS = (
    "Go!",
    "Yes.",
    "Hello there.",
    'One, two; three... four? Five! (Six) "seven" - eight.',
    "This is a longer sentence, with a clause or two in it, so that the voice does not arrive at its end too soon.",
)

OTHER_RECIPES: list[dict[str, Any]] = [
    {"start_prior_after_n_audio_steps": 3},
    {"attention_prior_lookahead_window": 2, "attention_prior_epsilon": 0.01},
    {"estimate_alignment_from_layers": [0], "apply_prior_to_layers": [1]},
    {"estimate_alignment_from_layers": [1], "apply_prior_to_layers": [0], "start_prior_after_n_audio_steps": 1},
    {"ignore_finished_sentence_tracking": False, "min_generated_frames": 2},
    {"ignore_finished_sentence_tracking": False, "min_generated_frames": 2, "apply_attention_prior": False},
    {"ignore_finished_sentence_tracking": False, "min_generated_frames": 2, "start_prior_after_n_audio_steps": 8},
    {"min_generated_frames": 7, "max_decoder_steps": 31},
    {"cfg_scale": 1.5},
]


def named(values: dict[str, Any]) -> str:
    return ",".join(f"{name}={value}" for name, value in values.items())


Pairs = Callable[[str], "Pair"]
Sizes = pytest.mark.parametrize("size", ["tiny", "tiny2"])
Guided = pytest.mark.parametrize("use_cfg", [True, False], ids=["cfg", "no-cfg"])


class Pair(msgspec.Struct):
    """One checkpoint file, read by NeMo and by us."""

    path: Path
    nemo: MagpieTTSModel
    ours: Checkpoint

    def set(self, **values: Any) -> None:
        """Change NeMo's inference parameters: these and no others, and as many frames as a test has time for."""
        self.nemo.inference_parameters = ModelInferenceParameters(
            **{"max_decoder_steps": MAX_FRAMES, "topk": 1, **values}
        )

    @property
    def recipe(self) -> Any:
        """NeMo's inference parameters, as our own reader understands them."""
        return _recipe(self.path, self.nemo.inference_parameters, self.ours.shape.decoder_layers)

    def ids(self, text: str) -> tuple[int, ...]:
        return self.ours.tokenizer.encode(text, "en").ids


class Reference(msgspec.Struct):
    """NeMo's frames (F, K) and samples, and by how much each draw and each of the decoder's own likeliest codes was
    decided: both (steps, draws).
    """

    codes: Tensor
    gaps: Tensor
    end_gaps: Tensor
    pcm: Tensor

    @property
    def has_close_call(self) -> bool:
        return bool((self.gaps < CLOSE).any() or (self.end_gaps < CLOSE).any())


class Count(msgspec.Struct):
    """What was compared."""

    texts: int = 0
    ends: int = 0
    codes: int = 0
    excused: int = 0


@torch.no_grad()
def make_lively(model: MagpieTTSModel, eagerness: float = 0.0) -> None:
    """Let it listen to voice and text, and make its end a likely code."""
    for name, value in model.named_parameters():
        if not name.startswith("_codec_model"):
            value.mul_(liveliness(name, value))
    model.baked_context_embedding.weight.mul_(VOICE_LIVELINESS)
    for draw in range(model.frame_stacking_factor * model.num_audio_codebooks):
        model.final_proj.bias[draw * model.num_all_tokens_per_codebook + model.audio_eos_id] += eagerness
        model.local_transformer_out_projections[draw].bias[model.audio_eos_id] += eagerness


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    """A checkpoint of this size; of "tiny eager", one whose ends are likely."""

    @cache
    def read(size: str) -> Pair:
        name, _, eager = size.partition(" ")
        adjust = partial(make_lively, eagerness=EAGERNESS if eager else 0.0)
        path = write_checkpoint(name, tmp_path_factory.mktemp(name), 1, adjust)
        nemo = MagpieTTSModel.restore_from(str(path), map_location="cpu").eval()
        nemo.use_kv_cache_for_inference = True
        return Pair(path, nemo, load(str(path), report=lambda _: None))

    return read


@pytest.fixture(scope="module")
def count(request: pytest.FixtureRequest) -> Iterator[Count]:
    """Of the whole module; said at its end."""
    counted = Count()
    yield counted
    told = (
        f"{counted.texts} texts, {counted.ends} of them to their ends, {counted.codes} codes: {counted.excused} excused"
    )
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\nparity with NeMo: {told}")
    assert counted.excused <= MAX_EXCUSED * counted.codes, told


# -- NeMo --------------------------------------------------------------------------------------------------------------


@contextmanager
def recorded() -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """The logits that NeMo draws from, (draws, N) each step: the local transformer's, and the decoder's own."""
    steps: tuple[list[Tensor], list[Tensor]] = ([], [])
    modules = (magpietts_modules, magpietts)
    original = magpietts_modules.clear_forbidden_logits

    def recorder(into: list[Tensor]) -> Callable[..., Tensor]:
        def record(logits: Tensor, *args: Any, **options: Any) -> Tensor:
            result = original(logits, *args, **options)
            into.append(result[0, 0].clone())
            return result

        return record

    for module, into in zip(modules, steps, strict=True):
        module.clear_forbidden_logits = recorder(into)
    try:
        yield steps
    finally:
        for module in modules:
            module.clear_forbidden_logits = original


def gaps_of(logits: list[Tensor], num_draws: int) -> Tensor:
    best = torch.stack(logits).topk(2).values
    return (best[:, 0] - best[:, 1]).view(-1, num_draws)


def nemo_batch(pair: Pair, text: str, voice: int, use_cfg: bool) -> Reference:
    """`infer_batch`, with both caches."""
    ids, num_draws = torch.tensor([pair.ids(text)]), pair.ours.shape.num_draws
    batch = {"text": ids, "text_lens": torch.tensor([ids.shape[1]]), "speaker_indices": voice}
    with recorded() as (drawn, own):
        out = pair.nemo.infer_batch(batch, use_cfg=use_cfg, use_local_transformer_for_inference=True)
    codes = out.predicted_codes[0, :, : int(out.predicted_codes_lens[0])].T
    return Reference(codes, gaps_of(drawn, num_draws), gaps_of(own, num_draws), out.predicted_audio[0])


def nemo_do_tts(pair: Pair, text: str, voice: int, use_cfg: bool, monkeypatch: pytest.MonkeyPatch) -> Reference:
    """`do_tts`, which keeps its codes to itself: they are noted on their way to the codec."""
    noted: list[Tensor] = []
    decode, num_draws = pair.nemo._codec_helper.codes_to_audio, pair.ours.shape.num_draws
    monkeypatch.setattr(
        pair.nemo._codec_helper, "codes_to_audio", lambda codes, lens: (noted.append(codes), decode(codes, lens))[1]
    )
    pair.nemo.decoder.reset_cache(use_cache=False)
    with recorded() as (drawn, own):
        pcm, _ = pair.nemo.do_tts(text, use_cfg=use_cfg, speaker_index=voice)
    return Reference(noted[0][0].T, gaps_of(drawn, num_draws), gaps_of(own, num_draws), pcm[0])


# -- comparing ---------------------------------------------------------------------------------------------------------


def compare(bare: Bare, ids: tuple[int, ...], voice: int, use_cfg: bool, wanted: Reference, count: Count) -> None:
    """Step by step, up to and with the end."""
    slot, stacking = 2, bare.shape.stacking
    bare.prefill(greedy(ids, slot=slot, voice=voice, cfg_scale=bare.recipe.cfg_scale if use_cfg else 1.0))
    count.texts += 1
    for step in range(bare.max_steps):
        ((_, end),) = bare.step(slot)
        frames = slice(step * stacking, (step + 1) * stacking)
        due, made = wanted.codes[frames], bare.state.frames[slot, frames]
        has_ended = len(due) < stacking
        if excused := not is_same(made[: len(due)], due, wanted.gaps[step], f"{ids} at step {step}"):
            count.excused += 1
            bare.state.codes[slot] = due.flatten().int()
        count.codes += due.numel()
        if has_ended != (end >= 0) or (has_ended and end != len(wanted.codes)):
            is_close = excused or bool((wanted.end_gaps[step] < CLOSE).any() or (wanted.gaps[step] < CLOSE).any())
            assert is_close, f"{ids}: an end at {end}, NeMo's at {len(wanted.codes)}"
            count.excused += 1
            bare.state.end_frame[slot] = -1
        if has_ended:
            count.ends += 1
            return
    assert len(wanted.codes) >= bare.max_steps * stacking


def is_same(made: Tensor, due: Tensor, gaps: Tensor, where: str) -> bool:
    """False: they differ, and NeMo hardly knew.

    Raises:
        AssertionError: they differ, and NeMo knew well.
    """
    differs = (made != due).flatten()
    if not differs.any():
        return True
    draw = int(differs.int().argmax())
    gap = float(gaps[draw])
    assert gap < CLOSE, f"{where}, draw {draw}: {int(made.flatten()[draw])}, NeMo's {int(due.flatten()[draw])} by {gap}"
    return False


def compare_texts(pair: Pair, use_cfg: bool, count: Count, texts: tuple[str, ...] = TEXTS) -> None:
    bare = Bare(pair.ours, pair.recipe)
    for number, text in enumerate(texts):
        voice = number % pair.ours.shape.num_voices
        compare(bare, pair.ids(text), voice, use_cfg, nemo_batch(pair, text, voice, use_cfg), count)


@Sizes
def test_the_checkpoint_hears_voice_text_and_guidance(pair: Pairs, size: str) -> None:
    """Else the tests below would compare little."""
    both = pair(size)
    both.set(max_decoder_steps=8)
    asked = [(TEXTS[2], 0, True), (TEXTS[2], 1, True), (TEXTS[4], 0, True), (TEXTS[2], 0, False)]
    one, *others = (nemo_batch(both, text, voice, use_cfg).codes for text, voice, use_cfg in asked)
    assert not any(torch.equal(one, other) for other in others)


# -- codes -------------------------------------------------------------------------------------------------------------


@Sizes
@Guided
def test_codes_are_nemos_with_the_prior_on(pair: Pairs, size: str, use_cfg: bool, count: Count) -> None:
    both = pair(size)
    both.set()
    compare_texts(both, use_cfg, count, TEXTS if use_cfg else TEXTS[::2])


@Sizes
@Guided
def test_codes_are_nemos_with_the_prior_off(pair: Pairs, size: str, use_cfg: bool, count: Count) -> None:
    both = pair(size)
    both.set(apply_attention_prior=False)
    compare_texts(both, use_cfg, count, TEXTS[1::2])


@Sizes
@Guided
def test_codes_are_those_of_do_tts_with_the_prior_off(
    pair: Pairs, size: str, use_cfg: bool, count: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = pair(f"{size} eager")
    both.set(apply_attention_prior=False)
    bare = Bare(both.ours, both.recipe)
    for voice, text in enumerate(TEXTS[1::2]):
        wanted = nemo_do_tts(both, text, voice, use_cfg, monkeypatch)
        compare(bare, both.ids(text), voice, use_cfg, wanted, count)


@Sizes
@pytest.mark.parametrize("values", OTHER_RECIPES, ids=named)
def test_codes_are_nemos_whatever_the_checkpoint_wants(
    pair: Pairs, size: str, values: dict[str, Any], count: Count
) -> None:
    both = pair(f"{size} eager")
    both.set(**{"max_decoder_steps": 24, **values})
    compare_texts(both, True, count, TEXTS[2::2])


@Sizes
@pytest.mark.parametrize("sampling", ["argmax", "argmax_or_multinomial"])
@pytest.mark.parametrize("where", ["any", "all", "zero_cb"])
def test_ends_are_found_where_nemo_finds_them(pair: Pairs, size: str, sampling: str, where: str, count: Count) -> None:
    both = pair(f"{size} eager")
    both.set(eos_detection_method=f"{sampling}_{where}", max_decoder_steps=16)
    compare_texts(both, True, count, TEXTS[2::2])


@Sizes
def test_the_end_is_forced_when_nemo_forces_it(pair: Pairs, size: str, count: Count) -> None:
    """A text whose end was reached 20 steps ago, of weights that would go on."""
    both, before = pair(size), count.ends
    both.set(ignore_finished_sentence_tracking=False, max_decoder_steps=30 * both.ours.shape.stacking)
    compare_texts(both, True, count, TEXTS[:2])
    assert count.ends - before == 2


# -- samples -----------------------------------------------------------------------------------------------------------


@Sizes
def test_what_a_listener_hears_is_nemos_codec_on_nemos_codes(pair: Pairs, size: str, count: Count) -> None:
    """Through the whole model: tokens, slots, chunks and the streaming codec; several texts at once."""
    both = pair(f"{size} eager")
    both.set()
    model = make_model(msgspec.structs.replace(both.ours, recipe=both.recipe))
    jobs = [
        job(model, text, slot=slot, voice=slot % 2, session=slot + 1, temperature=0, first_chunk_frames=1 + 2 * slot)
        for slot, text in enumerate(TEXTS[:4])
    ]
    for spoken, asked in zip(speak(model, *jobs), jobs, strict=True):
        wanted = nemo_batch(both, asked.segment.text, asked.slot % 2, use_cfg=True)
        assert spoken.is_over
        assert not spoken.error
        if wanted.has_close_call and not torch.equal(spoken.codes, wanted.codes):
            count.excused += 1
            continue
        assert torch.equal(spoken.codes, wanted.codes)
        assert error_of(spoken.pcm, wanted.pcm) < 1e-5


@Sizes
def test_what_a_listener_hears_is_what_do_tts_makes(
    pair: Pairs, size: str, count: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = pair(f"{size} eager")
    both.set(apply_attention_prior=False)
    wanted = nemo_do_tts(both, TEXTS[2], 1, True, monkeypatch)
    model = make_model(msgspec.structs.replace(both.ours, recipe=both.recipe))
    (spoken,) = speak(model, job(model, TEXTS[2], voice=1, temperature=0))
    if wanted.has_close_call and not torch.equal(spoken.codes, wanted.codes):
        count.excused += 1
        return
    assert error_of(spoken.pcm, wanted.pcm) < 1e-5
