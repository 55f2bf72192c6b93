"""What a checkpoint's configuration may name for NeMo to make: exact names, nothing by prefix.

Source: NeMo 3.0.0, the classes that its Magpie and codec configurations name (`examples/tts/conf/magpietts`,
`examples/tts/conf/audio_codec`, and those inside the released checkpoints).
"""

from collections.abc import Iterable
from typing import Final

MAGPIE_TARGET: Final = "nemo.collections.tts.models.magpietts.MagpieTTSModel"
CODEC_TARGET: Final = "nemo.collections.tts.models.audio_codec.AudioCodecModel"
HUB_TOKENIZER: Final = "AutoTokenizer"
"""Fetches from a model hub and may run code from there. Only byte tokenizers are let through, made here instead."""

BYTE_TOKENIZERS: Final = frozenset(f"google/byt5-{size}" for size in ("small", "base", "large", "xl", "xxl"))
"""Hub names of one and the same tokenizer, which has no vocabulary file: bytes and a few special ids."""


def _names(module: str, classes: str) -> frozenset[str]:
    return frozenset(f"{module}.{name}" for name in classes.split())


def _union(sets: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset[str]().union(*sets)


_TTS = "nemo.collections.tts"
_CODEC_MODULES = f"{_TTS}.modules.audio_codec_modules"

BUILT: Final = _union(
    [
        frozenset({MAGPIE_TARGET, CODEC_TARGET, HUB_TOKENIZER}),
        _names(f"{_TTS}.models", "MagpieTTSModel AudioCodecModel"),
        _names(
            "nemo.collections.common.tokenizers.text_to_speech.tts_tokenizers",
            "BaseCharsTokenizer EnglishCharsTokenizer GermanCharsTokenizer SpanishCharsTokenizer FrenchCharsTokenizer"
            " ItalianCharsTokenizer VietnameseCharsTokenizer HindiCharsTokenizer ArabicCharsTokenizer"
            " GermanPhonemesTokenizer ItalianPhonemesTokenizer IPATokenizer ChinesePhonemesTokenizer"
            " JapanesePhonemeTokenizer",
        ),
        _names(f"{_TTS}.g2p.models.i18n_ipa", "IpaG2p"),
        _names(f"{_TTS}.g2p.models.zh_cn_pinyin", "ChineseG2p"),
        _names(f"{_TTS}.g2p.models.ja_jp_ipa", "JapaneseG2p JapaneseKatakanaAccentG2p"),
        _names(
            _CODEC_MODULES,
            "CausalHiFiGANEncoder HiFiGANEncoder CausalHiFiGANDecoder FiniteScalarQuantizer GroupFiniteScalarQuantizer",
        ),
    ]
)
"""What NeMo may be left to make."""

LEFT_OUT: Final = _union(
    [
        _names(
            _CODEC_MODULES,
            "Discriminator MultiPeriodDiscriminator MultiResolutionDiscriminatorSTFT MultiBandDiscriminatorSTFT"
            " SLMDiscriminator SLMEncoder SLMPredictor",
        ),
        _names(f"{_TTS}.modules.encodec_modules", "MultiResolutionDiscriminatorSTFT DiscriminatorSTFT"),
        _names(
            f"{_TTS}.losses.audio_codec_loss",
            "GeneratorSquaredLoss GeneratorHingedLoss DiscriminatorSquaredLoss DiscriminatorHingedLoss"
            " MMDLoss MMDCodebookLoss MMDEmbeddingLoss MMDTimeLoss",
        ),
        _names(f"{_TTS}.models.magpietts_preference_optimization", "MagpieTTSModelOnlinePO MagpieTTSModelOfflinePO"),
        _names(f"{_TTS}.data.text_to_speech_dataset", "MagpieTTSDataset MagpieTTSDatasetDPO"),
        _names(f"{_TTS}.data.text_to_speech_dataset_lhotse", "MagpieTTSLhotseDataset"),
        _names(f"{_TTS}.data.vocoder_dataset", "VocoderDataset"),
        _names(f"{_TTS}.data.audio_codec_dataset_lhotse", "AudioCodecLhotseDataset"),
        _names(f"{_TTS}.parts.utils.callbacks", "AudioCodecArtifactGenerator"),
        _names("torch.optim", "Adam AdamW"),
    ]
)
"""What may stand in a configuration because training needs it. It is taken out before NeMo sees the rest."""
