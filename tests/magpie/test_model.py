"""Magpie as the engine sees it: attributes, chunks, errors, and what it says of itself."""

import weakref
from collections.abc import Callable
from itertools import accumulate, pairwise
from pathlib import Path

import pytest
import torch

from engines.magpie.checkpoint import Checkpoint, load
from engines.magpie.model import MAX_CHUNK_FRAMES, Magpie
from engines.magpie.options import MagpieOptions
from engines.magpie.precision import choose_precision
from engines.types import AudioFormat
from tests.magpie.random_checkpoint import write_checkpoint
from tests.magpie.speaking import CPU, Floor, error_of, job, lively, make_model, speak

Checkpoints = Callable[[str], Checkpoint]
Sizes = pytest.mark.parametrize("size", ["tiny", "tiny2"])

TEXT = "Hello there, how are you?"
NEVER = 10**6


@pytest.fixture(scope="module")
def model(checkpoint: Checkpoints) -> Magpie:
    """Its segments are 40 frames long."""
    return make_model(lively(checkpoint("tiny"), max_frames=40, min_frames=NEVER))


def test_what_the_engine_asks_comes_from_the_checkpoint(checkpoint: Checkpoints, model: Magpie) -> None:
    assert model.name == "magpie"
    assert model.format == AudioFormat(22050, MAX_CHUNK_FRAMES * 1024)
    assert [voice.name for voice in model.voices] == ["voice-1", "voice-2"]
    assert model.languages[0] == "en"
    assert set(model.languages) == {"en", "de", "es"}
    assert (model.num_slots, model.step_width) == (4, 4)
    assert 1 <= model.num_prefills <= 4
    assert all(model.max_segment_chars(language) >= 100 for language in model.languages)


@Sizes
def test_voices_and_languages_sound_different(checkpoint: Checkpoints, size: str) -> None:
    model = make_model(lively(checkpoint(size), max_frames=8, min_frames=NEVER))
    jobs = [
        job(model, TEXT, slot=0, session=1, temperature=0),
        job(model, TEXT, slot=1, session=2, temperature=0, voice=1),
        job(model, TEXT, slot=2, session=3, temperature=0, language="de"),
    ]
    one, other_voice, other_language = (spoken.codes for spoken in speak(model, *jobs))
    assert not torch.equal(one, other_voice)
    assert not torch.equal(one, other_language)


@Sizes
def test_texts_that_differ_in_their_last_word_differ(checkpoint: Checkpoints, size: str) -> None:
    """And padding behind a text changes nothing, though it is padded to another length with others."""
    model = make_model(lively(checkpoint(size), max_frames=8, min_frames=NEVER))
    texts = ("This is one.", "This is two.", "This is one.", "A very long text, for which all are padded. " * 4)
    said = speak(model, *[job(model, text, slot=i, session=i + 1, temperature=0) for i, text in enumerate(texts)])
    assert torch.equal(said[0].codes, said[2].codes)
    assert not torch.equal(said[0].codes, said[1].codes)


# -- chunks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "later"), [(4, 8), (6, 10), (8, 12), (1, 1), (2, 16), (32, 32), (4096, 4096)])
def test_chunks_are_of_the_sizes_that_were_asked_for(model: Magpie, first: int, later: int) -> None:
    """The first as asked; those behind it small, then twice as large each time, up to what was asked."""
    (spoken,) = speak(model, job(model, TEXT, first_chunk_frames=first, chunk_frames=later))
    chunks, most = [samples // 1024 for samples in spoken.chunks], min(later, MAX_CHUNK_FRAMES)
    assert chunks[0] == min(first, MAX_CHUNK_FRAMES)
    assert all(size <= most for size in chunks[1:])
    assert all(after == min(2 * before, most) for before, after in pairwise(chunks[1:-1]))
    assert sum(chunks) == 40, "nothing is left out"
    assert max(spoken.chunks) <= model.format.frame_samples


def test_a_listener_waits_for_few_frames_more_where_the_first_chunk_is_silence(model: Magpie) -> None:
    """The wire sends its first chunk when so many frames are there behind the silence that it trims."""
    (spoken,) = speak(model, job(model, TEXT, first_chunk_frames=4, chunk_frames=8))
    ends = [*accumulate(samples // 1024 for samples in spoken.chunks)]
    assert ends[0] == 4
    assert next(end for end in ends if end >= 5) <= 6
    assert next(end for end in ends if end >= 7) <= 10


def test_chunk_sizes_change_nothing_in_the_sound(model: Magpie) -> None:
    jobs = [
        job(model, TEXT, slot=slot, session=100 + slot, seed=3, first_chunk_frames=first, chunk_frames=later)
        for slot, (first, later) in enumerate([(1, 1), (4, 8), (7, 3), (4096, 4096)])
    ]
    whole, *others = speak(model, *jobs)
    assert all(error_of(other.pcm, whole.pcm) < 1e-5 for other in others)
    assert len({other.chunks for other in others}) == len(others)


@Sizes
def test_samples_are_whole_frames_up_to_the_end(checkpoint: Checkpoints, size: str) -> None:
    """None of the frame that the end was found in, nor of those behind it in its stack."""
    model = make_model(lively(checkpoint(size), tracks_text_end=True, max_frames=120))
    texts = ("Go!", "Yes.", "No!")
    said = speak(model, *[job(model, text, slot=i, session=i + 1, seed=i) for i, text in enumerate(texts)])
    for slot, spoken in enumerate(said):
        assert spoken.is_over
        assert len(spoken.pcm) == 1024 * int(model._state.end_frame[slot])
        assert spoken.words[-1].text == texts[slot]


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def greedy_codes(model: Magpie) -> torch.Tensor:
    """Of `TEXT`, said alone."""
    (alone,) = speak(model, job(model, TEXT, slot=3, session=3, temperature=0))
    assert alone.codes is not None
    return alone.codes


def test_a_segment_with_too_many_tokens_fails_alone(model: Magpie, greedy_codes: torch.Tensor) -> None:
    floor = Floor(model)
    long, fine = floor.join(
        job(model, "x" * 600, slot=0, session=1), job(model, TEXT, slot=1, session=2, temperature=0)
    )
    floor.finish()
    assert isinstance(long.error, ValueError)
    assert "512" in str(long.error)
    assert (len(long.pcm), long.words) == (0, ())
    assert fine.error is None
    (again,) = speak(model, job(model, TEXT, slot=0, session=1, temperature=0))
    assert again.error is None
    assert torch.equal(again.codes, greedy_codes), "the slot is as good as another"


@pytest.mark.parametrize(
    "text", ["", " ", "...", "\u201c\u201d - \u2013", "\U0001f600", "\u4f60\u597d", "\x00", "\ud800"]
)
def test_a_text_without_anything_to_say_ends_at_once_and_disturbs_nobody(
    model: Magpie, greedy_codes: torch.Tensor, text: str
) -> None:
    floor = Floor(model)
    nothing, other = floor.join(job(model, text, slot=0, session=1), job(model, TEXT, slot=1, session=2, temperature=0))
    floor.step()
    assert nothing.is_over
    assert (len(nothing.pcm), nothing.error, nothing.cut_short) == (0, None, "")
    for _ in range(5):
        floor.step()
    floor.leave(1)
    assert torch.equal(other.codes, greedy_codes[:6])


def test_slots_and_sessions_that_are_not_known_may_be_given_back(model: Magpie) -> None:
    model.release(3)
    model.forget(12345)


def test_a_model_can_be_closed_while_it_speaks(checkpoint: Checkpoints) -> None:
    model = make_model(checkpoint("tiny"), 2)
    Floor(model).join(job(model, TEXT))
    model.step([0])
    model.close()


def test_a_closed_model_holds_nothing_of_the_device_whoever_still_knows_it(checkpoint: Checkpoints) -> None:
    model = make_model(checkpoint("tiny"), 2)
    decoder = weakref.ref(model._decoder)
    is_speakable = model.is_speakable
    model.close()
    assert decoder() is None
    assert is_speakable("a", "en")


@pytest.mark.parametrize("precision", ["bfloat16", "tf32"])
def test_a_cpu_computes_in_float32_only(checkpoint: Checkpoints, precision: str) -> None:
    with pytest.raises(ValueError, match=f"float32, not {precision}"):
        choose_precision(precision, CPU)
    assert choose_precision("auto", CPU) == choose_precision("float32", CPU) == "float32"


# -- checkpoints -------------------------------------------------------------------------------------------------------


def test_a_checkpoint_with_few_positions_says_no_more_than_fits(tmp_path: Path) -> None:
    """Texts and segments are bounded by what the checkpoint has learned, not by what its recipe asks for."""
    from omegaconf import open_dict

    def shorten(nemo: object) -> None:
        """To 40 positions, in the weights as in the configuration that describes them."""
        config = nemo.cfg  # pyright: ignore[reportAttributeAccessIssue]
        with open_dict(config):
            for name in ("encoder", "decoder"):
                config[name].max_length_causal_mask = 64
        for stack in (nemo.encoder, nemo.decoder):  # pyright: ignore[reportAttributeAccessIssue]
            positions = torch.nn.Embedding(64, 64)
            torch.nn.init.normal_(positions.weight, std=0.02)
            stack.position_embeddings = positions
            for layer in stack.layers:
                layer.self_attention.causal_mask = layer.self_attention.causal_mask[:, :, :64, :64]

    known = load(str(write_checkpoint("tiny", tmp_path, adjust=shorten)), report=lambda _: None)
    assert known.shape.decoder_positions == 64
    model = make_model(lively(known, min_frames=NEVER))
    short, long = speak(
        model, job(model, "Hello there.", session=1), job(model, "A text that is too long. " * 4, slot=1, session=2)
    )
    assert len(short.pcm) == (64 - known.shape.prefix_len) * 1024
    assert short.cut_short == "too long"
    assert isinstance(long.error, ValueError)


def test_the_default_of_slots_is_what_a_cpu_has_time_for(checkpoint: Checkpoints) -> None:
    model = Magpie(checkpoint("tiny"), MagpieOptions(device="cpu"))
    assert model.num_slots == 4
