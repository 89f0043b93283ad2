"""Generators made to sample fast: the same networks of layers that are fused (`ganvas.nn.fused`) and do not learn.

DCGAN, SNGAN, SAGAN, BigGAN and FastGAN generators are known; any other, and whatever part of these is not, stays as it is. How
many of the first parts stay in float32 is a choice: an error that is made early is carried, and in networks with
attention multiplied, by all that follows.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from ganvas.errors import UsageError
from ganvas.models import biggan, dcgan, fastgan, resnet
from ganvas.models.residual import GeneratorBlock
from ganvas.nn.attention import SelfAttention
from ganvas.nn.conv import FromLatent
from ganvas.nn.fused import FusedConv, FusedLinear, FusedNorm, FusedUp, InFloat32, affine, with_norm
from ganvas.nn.kernels.calls import kernels
from ganvas.nn.norm import ConditionalBatchNorm2d, Layers
from ganvas.nn.resample import widen
from ganvas.types import ClassWeights, Images, Labels, Latents

_IDENTITIES = nn.Dropout | nn.Dropout2d | nn.Identity
"""What does nothing in eval mode."""

_AT_ONCE = 16
"""Pictures of a residual network whose largest maps stay in a core's cache."""


ENGINES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
"""The dtypes of engines. `fp16/2` leaves the first two parts in float32."""


def computes_in_fp16() -> bool:
    """Whether PyTorch's operators take fp16 on this processor: it needs AVX512-FP16 or AVX-NE-CONVERT."""
    return torch.backends.mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())


def engines(generator: nn.Module) -> tuple[str, ...]:
    """The engines that are more exact than bf16 and run here, the fastest first; none for a generator that is not known."""
    count = parts(generator)
    if not computes_in_fp16():
        return ("fp32",) if count else ()
    return ("fp16", *(f"fp16/{exact}" for exact in range(1, count)), "fp32") if count else ()


def on_engine(generator: nn.Module, name: str) -> nn.Module:
    """The generator by an engine's name, such as `fp16`, `fp16/2`, `bf16` or `fp32`.

    Raises:
        UsageError: no such engine for this generator, or this processor does not compute in fp16.
    """
    kind, _, exact = name.partition("/")
    count = parts(generator)
    if not count:
        raise UsageError(f'this network has no engine "{name}": only DCGAN, SNGAN, SAGAN, BigGAN and FastGAN have others than eager')
    if kind not in ENGINES or (exact and (not exact.isdecimal() or int(exact) > count)):
        raise UsageError(f'"{name}" is no engine: expected auto, eager, fp16, bf16 or fp32, or fp16/1 to fp16/{count} with parts in fp32')
    if kind == "fp16" and not computes_in_fp16():
        raise UsageError(
            f'the engine "{name}" needs a processor with AVX512-FP16 or AVX-NE-CONVERT, and this has neither: take fp32 or auto'
        )
    made = faster(generator, ENGINES[kind], int(exact or 0))
    return generator if made is None else made


def faster(generator: nn.Module, dtype: torch.dtype, exact: int = 0) -> nn.Module | None:
    """A copy of a generator in eval mode that computes its convolutions in `dtype`; None for one that is not known.

    Args:
        generator: (latents, labels) to pictures. It is not changed.
        dtype: float32, float16 or bfloat16.
        exact: the first so many parts behind the first layer compute in float32 (`parts` counts them).
    """
    if not parts(generator):
        return None
    with torch.inference_mode(False), torch.no_grad():
        made = copy.deepcopy(generator).eval().requires_grad_(False)
        materialise(made)
        if isinstance(made, dcgan.Generator):
            made.layers = Layers(*_sequence(list(made.layers), dtype, exact))
            return made
        if isinstance(made, biggan.Generator | resnet.Generator):
            _residual(made, dtype, exact)
        if isinstance(made, fastgan.Generator):
            _gated(made, dtype, exact)
        return InParts(made, _AT_ONCE)


def parts(generator: nn.Module) -> int:
    """Convolutions of a DCGAN's generator behind the first, blocks and attentions of a residual one, blocks of FastGAN's; 0: not known."""
    # Exactly these: a subclass may do something else with the same parts.
    if isinstance(generator, dcgan.Generator) and type(generator) is dcgan.Generator:
        return sum(isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) for layer in generator.layers) - 1
    if isinstance(generator, biggan.Generator | resnet.Generator) and type(generator) in (biggan.Generator, resnet.Generator):
        return len(generator.layers)
    if isinstance(generator, fastgan.Generator) and type(generator) is fastgan.Generator:
        return len(generator.blocks)
    return 0


def materialise(module: nn.Module) -> None:
    """Replace normalised weights by what they are now, so that they are not divided anew at each use."""
    for layer in list(module.modules()):
        if parametrize.is_parametrized(layer, "weight"):
            weight = layer.weight.detach().clone()  # type: ignore[operator, union-attr]
            # `remove_parametrizations` would take the weight from the type, which a copy shares with its original.
            layer.__class__ = parametrize.type_before_parametrizations(layer)
            del layer.parametrizations
            layer.register_parameter("weight", nn.Parameter(weight, requires_grad=False))


class InParts(nn.Module):
    """A generator that is given few latents at once."""

    def __init__(self, generator: nn.Module, at_once: int):
        super().__init__()
        self.generator, self.at_once = generator, at_once

    def forward(self, latents: Latents, labels: Labels | ClassWeights | None = None) -> Images:
        """What the generator makes of them."""
        parts = latents.split(self.at_once)
        classes = [None] * len(parts) if labels is None else labels.split(self.at_once)
        return torch.cat([self.generator(*part) for part in zip(parts, classes, strict=True)])


# -- DCGAN ----------------------------------------------------------------------------------------------------------


def _sequence(layers: Sequence[nn.Module], dtype: torch.dtype, exact: int) -> list[nn.Module]:
    """Convolution, norm and activation in one wherever they follow each other; the first layer and the pictures in float32."""
    made: list[nn.Module] = []
    waiting = [layer for layer in layers if not isinstance(layer, _IDENTITIES)]
    convolutions = 0
    while waiting:
        layer = waiting.pop(0)
        if not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            made.append(layer)
            continue
        norm = waiting.pop(0) if waiting and isinstance(waiting[0], nn.BatchNorm2d) else None
        slope = _slope(waiting[0]) if waiting else None
        if slope is not None:
            waiting.pop(0)
        made.append(_convolution(layer, norm, slope, torch.float32 if convolutions <= exact else dtype))  # type: ignore[arg-type]
        convolutions += 1
    # The output's activation is computed in float32, as everything behind it.
    return [*made[:-1], InFloat32(), made[-1]]


def _slope(layer: nn.Module) -> float | None:
    """Below zero, of a ReLU or a leaky one; None for anything else."""
    return layer.negative_slope if isinstance(layer, nn.LeakyReLU) else 0.0 if isinstance(layer, nn.ReLU) else None


def _convolution(layer: nn.Conv2d | nn.ConvTranspose2d, norm: nn.BatchNorm2d | None, slope: float | None, dtype: torch.dtype) -> nn.Module:
    transposed = isinstance(layer, nn.ConvTranspose2d)
    weight, bias = with_norm(layer.weight, layer.bias, norm, transposed)
    padding, side = int(layer.padding[0]), layer.kernel_size[0]
    if isinstance(layer, FromLatent):
        bias = None if bias is None else bias.repeat(side * side)
        return FusedLinear(weight.permute(2, 3, 1, 0).reshape(-1, len(weight)), bias, slope, dtype, side)
    if transposed:
        return FusedUp(weight, bias, slope, dtype, padding=padding, output_padding=layer.output_padding[0])
    return FusedConv(weight, bias, slope, dtype, stride=layer.stride[0], padding=padding)


# -- SNGAN, SAGAN, BigGAN -------------------------------------------------------------------------------------------


class _Block(GeneratorBlock):
    """A block with its second norm in its first convolution and its sum in the second; its network knows it by its type."""

    def __init__(self, block: GeneratorBlock, dtype: torch.dtype):
        nn.Module.__init__(self)  # none of the parts that learn
        # What follows a conditional norm depends on the picture, so that it can't be part of a weight.
        behind = None if isinstance(block.norm2, ConditionalBatchNorm2d) else block.norm2
        self.norm1 = FusedNorm(block.norm1, block.slope, dtype)  # type: ignore[arg-type]
        weight, bias = with_norm(widen(block.conv1.weight.detach().flip(2, 3)).transpose(0, 1), None, behind, transposed=True)  # type: ignore[arg-type]
        self.conv1 = FusedUp(weight, bias, None if behind is None else block.slope, dtype)
        self.norm2 = FusedNorm(block.norm2, block.slope, dtype) if behind is None else None  # type: ignore[arg-type]
        self.conv2 = FusedConv(block.conv2.weight, None, None, dtype, padding=1)
        self.skip = FusedConv(block.skip.weight, None, None, dtype)

    def forward(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """(B, C, H, W) to (B, C', 2H, 2W)."""
        hidden = self.conv1(self.norm1(x, condition))
        if self.norm2 is not None:
            hidden = self.norm2(hidden, condition)
        return self.conv2(hidden, F.interpolate(self.skip(x), scale_factor=2.0))


class _Attention(nn.Module):
    """`SelfAttention` by PyTorch's fused product of attention, which never holds all pairs of places."""

    def __init__(self, layer: SelfAttention, dtype: torch.dtype):
        super().__init__()
        self.query, self.key, self.value = (FusedConv(c.weight, None, None, dtype) for c in (layer.query, layer.key, layer.value))
        self.out = FusedConv(layer.out.weight * layer.gamma, None, None, dtype)
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape; H and W even."""
        x = x.to(self.dtype)
        b, _, height, width = x.shape
        query, key, value = self.query(x), F.max_pool2d(self.key(x), 2), F.max_pool2d(self.value(x), 2)
        # The fused kernel wants vectors of one length; zeros add nothing to a product.
        missing = value.shape[1] - query.shape[1]
        rows = [t.permute(0, 2, 3, 1).flatten(1, 2) for t in (query, key, value)]
        rows[:2] = [F.pad(t, (0, missing)) for t in rows[:2]]
        mixed = F.scaled_dot_product_attention(rows[0][:, None], rows[1][:, None], rows[2][:, None], scale=1.0)[:, 0]
        return self.out(mixed.view(b, height, width, -1).permute(0, 3, 1, 2), x)


def _residual(generator: biggan.Generator | resnet.Generator, dtype: torch.dtype, exact: int) -> None:
    for i, layer in enumerate(generator.layers):
        kind = torch.float32 if i < exact else dtype
        generator.layers[i] = _Block(layer, kind) if isinstance(layer, GeneratorBlock) else _Attention(layer, kind)  # type: ignore[arg-type]
    last = generator.last
    generator.last = nn.Sequential(FusedConv(last.weight, last.bias, None, dtype, padding=1), InFloat32())  # type: ignore[assignment]
    generator.norm = FusedNorm(generator.norm, None, dtype)  # type: ignore[assignment]


# -- FastGAN, also Projected GAN's ----------------------------------------------------------------------------------


class _GatedUp(nn.Module):
    """`fastgan.UpBlock` with its norm in its convolution; the noise, which is fixed in eval mode, is scaled as the norm does."""

    noise: Tensor | None

    def __init__(self, block: fastgan.UpBlock, dtype: torch.dtype):
        super().__init__()
        kernel = widen(block.conv.weight.detach().flip(2, 3)).transpose(0, 1)
        weight, bias = with_norm(kernel, None, block.norm, transposed=True)
        self.conv = FusedUp(weight, bias, None, dtype)
        noise = None
        if isinstance(block.noise, fastgan.Noise):
            scale, _ = affine(block.norm)
            noise = scale.view(1, -1, 1, 1) * (block.noise.strength * block.noise.fixed).double()
            noise = noise.to(dtype).contiguous(memory_format=torch.channels_last)
        self.register_buffer("noise", noise, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', 2H, 2W)."""
        y = self.conv(x)
        found = kernels() if y.dtype == torch.float16 and y.is_contiguous(memory_format=torch.channels_last) else None
        if found is not None and found.gates_halves(y.shape[1]):  # PyTorch's logistic function of fp16 takes longer than the convolution
            return found.noisy_gate(y, self.noise)
        return fastgan.gate(y if self.noise is None else y.add_(self.noise))


class _Excitation(nn.Module):
    """`fastgan.Excitation`, whose few numbers are computed in float32."""

    def __init__(self, layer: fastgan.Excitation):
        super().__init__()
        self.layer = layer

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """(B, C, h, w) and (B, C', H, W) to (B, C', H, W)."""
        return high * self.layer.strengths(low.float()).to(high.dtype)


def _gated(generator: fastgan.Generator, dtype: torch.dtype, exact: int) -> None:
    for i, (name, block) in enumerate(generator.blocks.items()):
        generator.blocks[name] = _GatedUp(block, torch.float32 if i < exact else dtype)  # type: ignore[arg-type]
    for name, layer in generator.excitations.items():
        generator.excitations[name] = _Excitation(layer)  # type: ignore[arg-type]
    last = generator.last
    generator.last = nn.Sequential(FusedConv(last.weight, last.bias, None, dtype, padding=1), InFloat32())  # type: ignore[assignment]
