"""The codec decoder's weights, taken out of NeMo once: norms folded, paddings known, codes looked up in a table.

Source: NeMo 3.0.0, `nemo/collections/tts/modules/audio_codec_modules.py` (CausalHiFiGANDecoder and what it is made
of), `nemo/collections/common/parts/utils.py` (HalfSnake, Snake, ClampActivation).
"""

import math
from typing import Any, Final, Self

import msgspec
import torch
from torch import Tensor

LEAKY_SLOPE: Final = 0.01
_SNAKE_EPSILON: Final = 1e-9


class Activation(msgspec.Struct, frozen=True):
    """leaky(x) + inverse * sin(alpha * x)^2 by channel, or ELU: (C,) each.

    Snake has slope 1; a leaky ReLU has alpha 0 and inverse 0; half-snake has both kinds of channel.
    """

    alpha: Tensor
    inverse: Tensor
    slope: Tensor
    is_elu: bool = False


class Conv(msgspec.Struct, frozen=True):
    """A causal convolution of stride 1: weight (out, in, k), bias (out,)."""

    weight: Tensor
    bias: Tensor
    dilation: int = 1

    @property
    def taps(self) -> int:
        return self.weight.shape[2]

    @property
    def num_inputs(self) -> int:
        return self.weight.shape[1]

    @property
    def history(self) -> int:
        """Past inputs that the next output needs."""
        return (self.taps - 1) * self.dilation


class Upsampling(msgspec.Struct, frozen=True):
    """A causal transposed convolution with a kernel of two strides: weight (in, out / groups, 2 rate), bias (out,)."""

    weight: Tensor
    bias: Tensor
    rate: int
    groups: int

    @property
    def num_inputs(self) -> int:
        return self.weight.shape[0]


class Unit(msgspec.Struct, frozen=True):
    """x + second(act(first(act(x))))."""

    first_activation: Activation
    first: Conv
    second_activation: Activation
    second: Conv


class Stage(msgspec.Struct, frozen=True):
    """An activation, an upsampling, and the mean of the residual blocks: a chain of units each."""

    activation: Activation
    upsampling: Upsampling
    blocks: tuple[tuple[Unit, ...], ...]


class CodecWeights(msgspec.Struct, frozen=True):
    """Everything that turns codes into samples, float32.

    `table` (K, size, dim) is what each code of each codebook stands for. Ids that are no sound (special ones, negative
    ones) count modulo `size`, as in NeMo. The output is tanh, or is clamped to `limits`.
    """

    table: Tensor
    entry: Conv
    stages: tuple[Stage, ...]
    exit_activation: Activation
    exit: Conv
    limits: tuple[float, float] | None  # None: tanh

    @property
    def num_codebooks(self) -> int:
        return self.table.shape[0]

    @property
    def samples_per_frame(self) -> int:
        return math.prod(stage.upsampling.rate for stage in self.stages)

    @property
    def num_parameters(self) -> int:
        units = [unit for stage in self.stages for block in stage.blocks for unit in block]
        convs = [self.entry, self.exit, *(conv for unit in units for conv in (unit.first, unit.second))]
        weights = [conv.weight for conv in convs] + [stage.upsampling.weight for stage in self.stages]
        return sum(weight.numel() for weight in weights)

    def to(self, device: torch.device | str, dtype: torch.dtype = torch.float32) -> Self:
        """The same on another device; `dtype` is that of everything but the table."""

        def moved(value: Any) -> Any:
            if isinstance(value, Tensor):
                return value.to(device, dtype)
            if isinstance(value, tuple):
                return tuple(moved(item) for item in value)  # pyright: ignore[reportUnknownVariableType]
            if isinstance(value, msgspec.Struct):
                return type(value)(*(moved(getattr(value, name)) for name in value.__struct_fields__))
            return value

        return msgspec.structs.replace(moved(self), table=self.table.to(device))

    @classmethod
    def of(cls, codec_model: Any, converter: Any = None) -> Self:
        """From NeMo's `AudioCodecModel`, and its `VectorQuantizerIndexConverter` where the speech model has its own
        codebooks. ValueError says what is not a causal HiFi-GAN decoder over finite scalar quantisation."""
        decoder = codec_model.audio_decoder
        _require_class(decoder, "CausalHiFiGANDecoder", "the codec's decoder")
        with torch.no_grad():
            return cls(
                table=_table(codec_model.vector_quantizer, converter),
                entry=_conv(decoder.pre_conv),
                stages=tuple(map(_stage, decoder.activations, decoder.up_sample_conv_layers, decoder.res_layers)),
                exit_activation=_activation(decoder.post_activation, decoder.post_conv.conv.in_channels),
                exit=_conv(decoder.post_conv),
                limits=_limits(decoder.out_activation),
            )

    @classmethod
    def random(
        cls,
        base_channels: int = 864,
        rates: tuple[int, ...] = (8, 8, 4, 2, 2),
        levels: tuple[int, ...] = (8, 7, 6, 6),
        num_codebooks: int = 8,
        kernels: tuple[int, ...] = (3, 7, 11),
        dilations: tuple[int, ...] = (1, 3, 5),
        activation: str = "half_snake",
        seed: int = 0,
    ) -> Self:
        """Random weights of the released shape: for measuring where there is no checkpoint and no NeMo."""
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape: int, fan_in: int) -> Tensor:
            return torch.randn(*shape, generator=generator) / math.sqrt(fan_in)

        def conv(num_in: int, num_out: int, taps: int, dilation: int = 1, gain: float = 1.0) -> Conv:
            weight = normal(num_out, num_in, taps, fan_in=num_in * taps) * gain
            return Conv(weight, 0.1 * normal(num_out, fan_in=1), dilation)

        def act(channels: int) -> Activation:
            alpha = 0.5 + torch.rand(channels, generator=generator)
            return make_activation(activation, channels, alpha)

        def unit(channels: int, taps: int, dilation: int) -> Unit:
            first = conv(channels, channels, taps, dilation)
            return Unit(act(channels), first, act(channels), conv(channels, channels, taps, gain=0.5))

        def stage(channels: int, rate: int) -> Stage:
            half = channels // 2
            up = Upsampling(normal(channels, 1, 2 * rate, fan_in=4), 0.1 * normal(half, fan_in=1), rate, half)
            return Stage(act(channels), up, tuple(tuple(unit(half, k, d) for d in dilations) for k in kernels))

        grids = torch.meshgrid(*((torch.arange(n) - n // 2) / (n // 2) for n in reversed(levels)), indexing="ij")
        table = torch.stack([grid.reshape(-1) for grid in reversed(grids)], dim=-1)
        channels = [base_channels >> i for i in range(len(rates) + 1)]
        return cls(
            table=table.expand(num_codebooks, *table.shape).contiguous(),
            entry=conv(num_codebooks * len(levels), base_channels, 7),
            stages=tuple(map(stage, channels, rates)),
            exit_activation=act(channels[-1]),
            exit=conv(channels[-1], 1, 3, gain=0.1),
            limits=(-1.0, 1.0),
        )


def make_activation(kind: str, channels: int, alpha: Tensor | None = None) -> Activation:
    """`kind` as NeMo's configurations spell it; `alpha` (at least as many as snake channels) of the snake channels."""
    num_snakes = {"half_snake": channels // 2, "snake": channels, "lrelu": 0, "elu": 0}.get(kind)
    if num_snakes is None:
        raise ValueError(f"the codec's activation is {kind!r}; known are half_snake, snake, lrelu and elu")
    frequencies, inverse, slope = torch.zeros(channels), torch.zeros(channels), torch.full((channels,), LEAKY_SLOPE)
    if num_snakes:
        assert alpha is not None, "a snake has an alpha"
        frequencies[:num_snakes] = alpha[:num_snakes]
        inverse[:num_snakes] = (alpha[:num_snakes] + _SNAKE_EPSILON).reciprocal()
        slope[:num_snakes] = 1.0
    return Activation(frequencies, inverse, slope, is_elu=kind == "elu")


def _activation(module: Any, channels: int) -> Activation:
    inner = module.activation
    match type(inner).__name__:
        case "HalfSnake":
            return make_activation("half_snake", channels, _flat(inner.snake_act.alpha))
        case "Snake":
            return make_activation("snake", channels, _flat(inner.alpha))
        case "LeakyReLU" if inner.negative_slope == LEAKY_SLOPE:
            return make_activation("lrelu", channels)
        case "ELU" if inner.alpha == 1.0:
            return make_activation("elu", channels)
        case _:
            raise ValueError(
                f"the codec's activation is {inner}; known are half_snake, snake, lrelu and elu, as in NeMo"
            )


def _conv(module: Any) -> Conv:
    _require_class(module, "CausalConv1dNorm", "a convolution of the codec")
    conv = module.conv
    if conv.stride != (1,) or conv.groups != 1 or module.extra_pad_mode != "constant" or conv.padding != (0,):
        raise ValueError(f"a convolution of the codec is not a causal one of stride 1 with zeros before it: {conv}")
    return Conv(_copy(conv.weight), _bias(conv), conv.dilation[0])


def _upsampling(module: Any) -> Upsampling:
    _require_class(module, "CausalConvTranspose1dNorm", "an upsampling of the codec")
    conv, rate = module.conv, module.conv.stride[0]
    is_plain = conv.padding == (0,) and conv.output_padding == (0,) and conv.dilation == (1,)
    if conv.kernel_size != (2 * rate,) or module.padding_left or module.padding_right != rate or not is_plain:
        raise ValueError(f"an upsampling of the codec is not a causal one with a kernel of two strides: {conv}")
    return Upsampling(_copy(conv.weight), _bias(conv), rate, conv.groups)


def _stage(activation: Any, up_sampling: Any, res_layer: Any) -> Stage:
    upsampling = _upsampling(up_sampling)
    blocks = tuple(tuple(_unit(unit) for unit in block.res_blocks) for block in res_layer.res_blocks)
    return Stage(_activation(activation, upsampling.num_inputs), upsampling, blocks)


def _unit(block: Any) -> Unit:
    _require_class(block, "ResidualBlock", "a residual block of the codec")
    first, second = _conv(block.input_conv), _conv(block.skip_conv)
    first_activation = _activation(block.input_activation, first.num_inputs)
    return Unit(first_activation, first, _activation(block.skip_activation, second.num_inputs), second)


def _limits(activation: Any) -> tuple[float, float] | None:
    match type(activation).__name__:
        case "Tanh":
            return None
        case "ClampActivation":
            return float(activation.min_value), float(activation.max_value)
        case name:
            raise ValueError(f"the codec's output activation is {name}; known are tanh and clamp")


def _table(quantizer: Any, converter: Any) -> Tensor:
    if converter is None:
        return _values(quantizer)
    ours, codecs = converter.vector_quantizer_new, converter.vector_quantizer_original
    table = _values(ours)
    codes = torch.arange(ours.codebook_size, device=_device(ours)).expand(1, ours.num_codebooks, -1)
    lens = torch.tensor([codes.shape[2]], device=codes.device)
    converted = converter.convert_new_to_original(audio_tokens=codes, audio_lens=lens)
    heard = codecs.decode(indices=converted.transpose(0, 1), input_len=lens)
    expected = table.permute(0, 2, 1).reshape(1, -1, codes.shape[2])
    if heard.shape != expected.shape or not torch.allclose(heard.float().cpu(), expected, atol=1e-6):
        raise ValueError("the speech model's codebooks do not have the levels of the codec's, in the same order")
    return table


def _values(quantizer: Any) -> Tensor:
    """(K, size, dim): what each code stands for, by NeMo's own arithmetic."""
    if type(quantizer).__name__ not in ("GroupFiniteScalarQuantizer", "FiniteScalarQuantizer"):
        raise ValueError(f"the codec's quantiser is {type(quantizer).__name__}; known is finite scalar quantisation")
    num_codebooks, size = int(quantizer.num_codebooks), int(quantizer.codebook_size)
    indices = torch.arange(size, device=_device(quantizer)).expand(num_codebooks, 1, size)
    lens = torch.tensor([size], device=indices.device)
    values = quantizer.decode(indices=indices, input_len=lens).float().cpu()
    return values.reshape(num_codebooks, -1, size).permute(0, 2, 1).contiguous()


def _device(module: Any) -> torch.device:
    return next(module.buffers()).device


def _require_class(module: Any, name: str, what: str) -> None:
    if type(module).__name__ != name:
        raise ValueError(f"{what} is {type(module).__name__}; known is {name}")


def _bias(conv: Any) -> Tensor:
    return torch.zeros(conv.out_channels) if conv.bias is None else _copy(conv.bias)


def _flat(tensor: Tensor) -> Tensor:
    return _copy(tensor).reshape(-1)


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", torch.float32, copy=True).contiguous()
