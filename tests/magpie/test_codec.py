"""The codec decoder against NeMo's, and streamed decoding against whole.

Errors are relative to the RMS of what is expected. The fused path runs on a GPU, or where TRITON_INTERPRET=1 is set.
"""

import importlib.util
import os
import random
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from engines.magpie.codec import CodecWeights, StreamingCodec, decode_whole  # noqa: E402

MODULES = "nemo.collections.tts.modules.audio_codec_modules"
HAS_NEMO = importlib.util.find_spec("nemo") is not None
HAS_GPU = torch.cuda.is_available()
HAS_KERNELS = importlib.util.find_spec("triton") is not None and (HAS_GPU or os.environ.get("TRITON_INTERPRET") == "1")
DEVICE = "cuda" if HAS_GPU else "cpu"
ERROR = 2e-6

needs_nemo = pytest.mark.skipif(not HAS_NEMO, reason="needs NeMo")
pytestmark = pytest.mark.filterwarnings("ignore")

SMALL = CodecWeights.random(base_channels=24, rates=(4, 2), levels=(5, 4), num_codebooks=3, kernels=(3, 7), seed=3)
CODES = torch.randint(0, 20, (6, 24, 3), generator=torch.Generator().manual_seed(4)).to(DEVICE)
WHOLE = decode_whole(SMALL.to(DEVICE), CODES)


@pytest.fixture(
    params=["plain", pytest.param("fused", marks=pytest.mark.skipif(not HAS_KERNELS, reason="needs Triton"))]
)
def codec(request: pytest.FixtureRequest) -> StreamingCodec:
    return StreamingCodec(SMALL, 6, device=DEVICE, path=request.param)


def error(actual: Any, expected: Any) -> float:
    assert actual.shape == expected.shape
    return float((actual - expected).abs().max() / expected.square().mean().sqrt())


def stir(module: Any) -> None:
    """Every parameter away from where NeMo puts it, so that one that is forgotten is missed."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(1 + 0.3 * torch.rand(parameter.shape, generator=generator))
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))


def decode_in_pieces(codec: StreamingCodec, codes: Any, slots: Sequence[int], pieces: Sequence[int]) -> Any:
    places, parts, start = torch.tensor(slots, device=codes.device), [], 0
    for count in pieces:
        parts.append(codec.decode(codes[:, start : start + count], places).clone())
        start += count
    return torch.cat(parts, dim=1)


# --- NeMo's decoder ---


@pytest.fixture(scope="module")
def nemo_codec() -> Any:
    from tests.magpie.random_checkpoint import build_codec

    model = build_codec("tiny")
    stir(model.audio_decoder)
    return model


def nemo_samples(model: Any, codes: Any) -> Any:
    """NeMo's own decoding of codes (B, F, K)."""
    lens = torch.full((codes.shape[0],), codes.shape[1])
    with torch.no_grad():
        return model.decode(tokens=codes.transpose(1, 2), tokens_len=lens)[0]


@needs_nemo
def test_whole_decoding_is_nemos(nemo_codec: Any) -> None:
    codes = torch.randint(0, 2016, (2, 9, 8))
    weights = CodecWeights.of(nemo_codec)
    expected = nemo_samples(nemo_codec, codes)
    assert expected.square().mean().sqrt() > 1e-3
    assert error(decode_whole(weights, codes), expected) < 1e-5
    assert weights.samples_per_frame == 1024
    assert weights.num_codebooks == 8


@needs_nemo
def test_streamed_decoding_is_nemos(nemo_codec: Any) -> None:
    codes = torch.randint(0, 2016, (2, 13, 8))
    codec = StreamingCodec(CodecWeights.of(nemo_codec), 3, device="cpu")
    heard = decode_in_pieces(codec, codes, [2, 0], [1, 3, 2, 7])
    assert error(heard, nemo_samples(nemo_codec, codes)) < 1e-5


@needs_nemo
def test_special_codes_sound_as_in_nemo(nemo_codec: Any) -> None:
    codes = torch.randint(2010, 2024, (1, 4, 8))
    assert error(decode_whole(CodecWeights.of(nemo_codec), codes), nemo_samples(nemo_codec, codes)) < 1e-5


def test_codes_beyond_any_table_do_not_crash(codec: StreamingCodec) -> None:
    codes = torch.tensor([[[-1, 20, 1_000_000]]], device=DEVICE)
    same = torch.tensor([[[19, 0, 0]]], device=DEVICE)
    first, second = torch.tensor([0], device=DEVICE), torch.tensor([1], device=DEVICE)
    assert torch.equal(codec.decode(codes, first).clone(), codec.decode(same, second))


def small_nemo(**changes: Any) -> Any:
    """NeMo's decoder and quantiser in the smallest sizes, with other settings."""
    from nemo.collections.tts.modules import audio_codec_modules as modules

    sizes: dict[str, Any] = {"up_sample_rates": [4, 2], "base_channels": 12, "resblock_kernel_sizes": [3, 5]}
    decoder = modules.CausalHiFiGANDecoder(input_dim=8, **(sizes | changes)).eval()
    stir(decoder)
    quantizer = modules.GroupFiniteScalarQuantizer(num_groups=4, num_levels_per_group=[5, 4])
    return SimpleNamespace(audio_decoder=decoder, vector_quantizer=quantizer)


def small_nemo_samples(model: Any, codes: Any) -> Any:
    lens = torch.full((codes.shape[0],), codes.shape[1])
    with torch.no_grad():
        inputs = model.vector_quantizer.decode(indices=codes.permute(2, 0, 1), input_len=lens)
        return model.audio_decoder(inputs=inputs, input_len=lens)[0]


@needs_nemo
@pytest.mark.parametrize(
    "changes",
    [
        {"activation": "half_snake", "output_activation": "clamp"},
        {"activation": "snake"},
        {"activation": "lrelu", "in_kernel_size": 3, "out_kernel_size": 7},
        {"activation": "elu", "n_groups_equal_to_out_channels": False},
        {"activation": "half_snake", "resblock_dilation_sizes": [2]},
    ],
    ids=str,
)
def test_every_kind_of_decoder_streams_as_nemos(changes: dict[str, Any]) -> None:
    model, codes = small_nemo(**changes), torch.randint(0, 20, (1, 9, 4))
    weights, expected = CodecWeights.of(model), small_nemo_samples(model, codes)
    assert error(decode_whole(weights, codes), expected) < 1e-5
    heard = decode_in_pieces(StreamingCodec(weights, 1, device="cpu"), codes, [0], [2, 1, 5, 1])
    assert error(heard, expected) < 1e-5


@needs_nemo
def test_the_speech_models_own_codebooks_are_folded_into_the_table() -> None:
    from nemo.collections.tts.modules import audio_codec_modules as modules

    model = small_nemo()
    ours = modules.GroupFiniteScalarQuantizer(num_groups=2, num_levels_per_group=[5, 4, 5, 4])
    converter = modules.VectorQuantizerIndexConverter(model.vector_quantizer, ours)
    codes = torch.randint(0, 400, (1, 9, 2))
    converted = converter.convert_new_to_original(audio_tokens=codes.transpose(1, 2), audio_lens=torch.tensor([9]))
    expected = small_nemo_samples(model, converted.transpose(1, 2))
    weights = CodecWeights.of(model, converter)
    assert weights.num_codebooks == 2
    assert error(decode_whole(weights, codes), expected) < 1e-5


@needs_nemo
def test_codebooks_of_other_levels_are_refused() -> None:
    from nemo.collections.tts.modules import audio_codec_modules as modules

    model = small_nemo()
    ours = modules.GroupFiniteScalarQuantizer(num_groups=2, num_levels_per_group=[4, 5, 5, 4])
    with pytest.raises(ValueError, match="levels"):
        CodecWeights.of(model, modules.VectorQuantizerIndexConverter(model.vector_quantizer, ours))


@needs_nemo
def test_a_decoder_that_looks_ahead_is_refused() -> None:
    from nemo.collections.tts.modules import audio_codec_modules as modules

    model = small_nemo()
    model.audio_decoder = modules.HiFiGANDecoder(input_dim=8, up_sample_rates=[4, 2], base_channels=12)
    with pytest.raises(ValueError, match="HiFiGANDecoder; known is CausalHiFiGANDecoder"):
        CodecWeights.of(model)


# --- splits, slots and states ---


@settings(max_examples=25)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.sampled_from([(0,), (5, 1), (3, 0, 4)]))
def test_any_split_of_the_frames_gives_the_samples_of_whole_decoding(pieces: list[int], slots: tuple[int, ...]) -> None:
    codec = StreamingCodec(SMALL, 6, device=DEVICE, path="plain")
    while sum(pieces) > CODES.shape[1]:
        pieces = pieces[1:]
    heard = decode_in_pieces(codec, CODES[: len(slots)], slots, pieces)
    assert error(heard, WHOLE[: len(slots), : heard.shape[1]]) < ERROR


def test_frames_one_by_one_and_all_at_once_are_the_same(codec: StreamingCodec) -> None:
    heard = decode_in_pieces(codec, CODES[:2, :8], [1, 2], [1, 1, 1, 4, 1])
    assert error(heard, WHOLE[:2, : heard.shape[1]]) < ERROR
    assert error(decode_in_pieces(codec, CODES[:2], [3, 0], [8, 8, 8]), WHOLE[:2]) < ERROR


def test_slots_that_join_leave_and_pause_do_not_hear_one_another(codec: StreamingCodec) -> None:
    """Random rounds: some slots decode some frames, some stop in the middle and begin another utterance."""
    draw, size = random.Random(11), SMALL.samples_per_frame
    utterance, position = [*range(6)], [0] * 6
    for _ in range(12 if codec.path_name == "fused" and not HAS_GPU else 60):
        count = draw.choice([1, 1, 2, 4])
        chosen = [s for s in draw.sample(range(6), draw.randint(1, 6)) if position[s] + count <= CODES.shape[1]]
        if chosen:
            codes = torch.stack([CODES[utterance[s], position[s] : position[s] + count] for s in chosen])
            heard = codec.decode(codes, torch.tensor(chosen, device=DEVICE))
            for row, slot in zip(heard, chosen, strict=True):
                start = position[slot] * size
                assert error(row, WHOLE[utterance[slot], start : start + count * size]) < 10 * ERROR
                position[slot] += count
        for slot in draw.sample(range(6), draw.randint(0, 2)):
            codec.reset(torch.tensor([slot], device=DEVICE))
            utterance[slot], position[slot] = draw.randrange(6), 0


def test_a_reset_slot_begins_as_a_new_one(codec: StreamingCodec) -> None:
    fresh = decode_in_pieces(codec, CODES[:1, :4], [2], [2, 2])
    codec.reset(torch.tensor([2], device=DEVICE))
    assert torch.equal(decode_in_pieces(codec, CODES[:1, :4], [2], [2, 2]), fresh)
    assert error(fresh, WHOLE[:1, : fresh.shape[1]]) < ERROR


def test_a_slot_goes_on_where_another_is(codec: StreamingCodec) -> None:
    start = 4 * SMALL.samples_per_frame
    decode_in_pieces(codec, CODES[:1, :4], [0], [1, 2, 1])
    decode_in_pieces(codec, CODES[3:4, :4], [5], [4])
    codec.copy_state(0, 5)
    heard = decode_in_pieces(codec, CODES[[0, 0], 4:8], [0, 5], [4])
    assert error(heard[:1], WHOLE[:1, start : 2 * start]) < ERROR
    assert torch.equal(heard[0], heard[1])


def test_a_saved_state_outlives_its_slot(codec: StreamingCodec) -> None:
    start = 3 * SMALL.samples_per_frame
    decode_in_pieces(codec, CODES[1:2, :3], [1], [2, 1])
    saved = codec.save_state(1)
    codec.reset(torch.tensor([1], device=DEVICE))
    decode_in_pieces(codec, CODES[2:3, :4], [1], [4])
    codec.load_state(4, saved)
    heard = decode_in_pieces(codec, CODES[1:2, 3:8], [4], [1, 4])
    assert error(heard, WHOLE[1:2, start : start + heard.shape[1]]) < ERROR


def test_more_rows_than_a_bucket_holds_are_decoded_in_turns() -> None:
    codec = StreamingCodec(SMALL, 6, device=DEVICE, path="plain", row_counts=(1, 2), frame_counts=(1, 4))
    assert error(decode_in_pieces(codec, CODES[:5], [4, 0, 2, 1, 5], [7, 1, 16]), WHOLE[:5]) < ERROR


def test_codes_of_32_bits_are_taken_too(codec: StreamingCodec) -> None:
    heard = decode_in_pieces(codec, CODES[:1, :4].int(), [0], [4])
    assert error(heard, WHOLE[:1, : heard.shape[1]]) < ERROR


def test_the_state_of_a_slot_is_what_the_convolutions_need() -> None:
    """Of the released decoder, in float32: 216 past inputs a stage and channel, and the edges."""
    codec = StreamingCodec(CodecWeights.random(), 0, device="cpu")
    stages = sum(216 * channels for channels in (432, 216, 108, 54, 27))
    upsamplings = sum((864, 432, 216, 108, 54))
    assert codec.state_bytes_per_slot == 4 * (6 * 32 + stages + upsamplings + 2 * 27)


@pytest.mark.parametrize("precision", ["bfloat16", "float16", "tf32"])
def test_a_cpu_decodes_in_float32_only(precision: str) -> None:
    with pytest.raises(ValueError, match="float32"):
        StreamingCodec(SMALL, 1, device="cpu", precision=precision)


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(ValueError, match="known are float32, tf32, float16, bfloat16"):
        StreamingCodec(SMALL, 1, device="cpu", precision="int8")


@pytest.mark.skipif(not HAS_GPU, reason="needs a GPU")
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("tf32", 1e-2), ("float16", 2e-2)])
def test_a_graph_gives_the_eager_samples(codec: StreamingCodec, precision: str, tolerance: float) -> None:
    codec = StreamingCodec(SMALL, 6, device="cuda", precision=precision, path=codec.path_name)
    pieces = [1, 4, 2, 8, 7]
    eager = decode_in_pieces(codec, CODES[:3], [0, 3, 5], pieces)
    codec.capture()
    graphed = decode_in_pieces(codec, CODES[:3], [0, 3, 5], pieces)
    assert error(graphed, eager) < 1e-6
    assert error(graphed, WHOLE[:3, : graphed.shape[1]]) < tolerance
