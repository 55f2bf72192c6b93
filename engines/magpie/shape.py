"""What a checkpoint says about itself: the dimensions of its networks and how it wants to be sampled."""

import msgspec


class Shape(msgspec.Struct, frozen=True):
    """Dimensions, read from the checkpoint's own configuration and weights.

    A decoder step makes `stacking` frames of `num_codebooks` codes each. Codes below `codebook_size` are sound, those
    from there to `num_code_ids` are special (begin, end, masks).
    """

    d_model: int
    # text encoder
    num_text_ids: int
    encoder_layers: int
    encoder_heads: int
    encoder_kernel: int  # of the feed-forward's two causal convolutions
    encoder_positions: int  # the longest text, in tokens
    # decoder
    decoder_layers: int
    decoder_heads: int
    cross_heads: int
    cross_head_dim: int
    decoder_positions: int  # learned positions: prefix and steps together
    prefix_len: int  # positions of the baked voice
    num_voices: int
    # codes
    num_codebooks: int
    codebook_size: int
    num_code_ids: int
    stacking: int
    audio_bos: int
    audio_eos: int
    text_eos: int
    # local transformer
    local_layers: int
    local_heads: int
    local_dim: int

    @property
    def num_draws(self) -> int:
        """Codes that one decoder step draws, one after the other."""
        return self.num_codebooks * self.stacking

    @property
    def decoder_head_dim(self) -> int:
        return self.d_model // self.decoder_heads

    @property
    def cross_dim(self) -> int:
        return self.cross_heads * self.cross_head_dim

    @property
    def local_head_dim(self) -> int:
        return self.local_dim // self.local_heads


class Recipe(msgspec.Struct, frozen=True):
    """How the checkpoint wants to be sampled: NeMo's `ModelInferenceParameters`, by the names used here.

    `alignment_layers` and `prior_layers` are the decoder layers that the attended position is read from and that the
    prior acts on. `eos` is how an end is detected: in which codes ("argmax" or "either"), and in how many of a frame's
    codebooks ("any", "all", "first").

    Source: NeMo 3.0.0, `nemo/collections/tts/models/magpietts.py`, `ModelInferenceParameters`.
    """

    max_frames: int = 500
    min_frames: int = 4
    temperature: float = 0.7
    top_k: int = 80
    cfg_scale: float = 2.5
    has_prior: bool = True
    prior_epsilon: float = 0.1
    prior_lookahead: int = 5
    prior_start_step: int = 0
    alignment_layers: tuple[int, ...] = ()
    prior_layers: tuple[int, ...] = ()
    tracks_text_end: bool = False  # forbids the end before the text's, and forces it a while after
    eos_from: str = "either"
    eos_in: str = "any"
