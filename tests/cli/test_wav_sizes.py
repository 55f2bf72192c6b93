"""WAV sizes that are written last: the same file as one whose sizes were known first."""

import io
from typing import get_args

import pytest

from app.cli import forms
from app.cli.wav_sizes import state_sizes
from engines.encoders import SAMPLE_RATES_HZ, PcmEncoding, wav_header
from engines.formats import FORMATS


@pytest.mark.parametrize("encoding", forms.ENCODINGS)
@pytest.mark.parametrize("num_samples", [0, 1, 5, 1000])
def test_a_streamed_file_becomes_a_whole_one(encoding: forms.Encoding, num_samples: int) -> None:
    num_bytes = num_samples * {"pcm_s16le": 2, "pcm_f32le": 4, "mulaw": 1, "alaw": 1}[encoding]
    samples = bytes(range(1, 251)) * 16
    file = io.BytesIO(wav_header(16_000, None, encoding) + samples[:num_bytes])
    state_sizes(file)
    pad = b"\0" * (num_bytes % 2)
    assert file.getvalue() == wav_header(16_000, num_bytes, encoding) + samples[:num_bytes] + pad


def test_the_forms_of_a_shell_are_those_of_the_engine() -> None:
    assert forms.FORMATS == FORMATS
    assert set(get_args(PcmEncoding)) == set(forms.ENCODINGS)
    assert forms.SAMPLE_RATES_HZ == SAMPLE_RATES_HZ
    assert set(forms.SUFFIXES.values()) == set(FORMATS)
