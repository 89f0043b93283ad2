"""Kernels compute what PyTorch does, to bf16's rounding, with its gradients, and the same bits for any number of threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganvas.nn.activation import activate
from ganvas.nn.attention import attend
from ganvas.nn.conv import across, fold, unfold
from ganvas.nn.kernels import calls, functions
from ganvas.nn.kernels.calls import Running
from ganvas.nn.kernels.functions import activation, attention, clamp, gate, norm
from ganvas.nn.norm import ConditionalBatchNorm2d, Layers, class_affine, normalise


@pytest.fixture(autouse=True)
def _needs_kernels() -> None:
    if calls.kernels() is None:
        pytest.skip(f"no kernels here: {calls.state()}")


SHAPES = [(2, 19, 1, 1), (1, 16, 5, 3), (3, 64, 8, 8), (2, 130, 4, 6), (1, 1, 2, 2), (65, 3, 1, 7), (4, 40, 48, 40)]


def relative(a: Tensor, b: Tensor) -> float:
    return float((a.float() - b.float()).norm() / b.float().norm())


def picture(*shape: int, mean: float = 0.0, deviation: float = 1.0) -> Tensor:
    return (torch.randn(shape) * deviation + mean).bfloat16().contiguous(memory_format=torch.channels_last)


def plain(x: Tensor, gain: Tensor, offset: Tensor, running: tuple[Tensor, Tensor], slope: float) -> Tensor:
    """In fp32 by PyTorch, with a gain and an offset for each picture if wanted."""
    normalised = F.batch_norm(x, *running, None, None, True, 0.3, 1e-5)
    wide = [t if t.ndim == 2 else t.expand(len(x), -1) for t in (gain, offset)]
    return F.leaky_relu(normalised * wide[0][:, :, None, None] + wide[1][:, :, None, None], slope)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("slope", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("own", [False, True], ids=["one gain", "a gain for each picture"])
def test_batch_norm_and_activation_with_all_gradients(shape: tuple[int, int, int, int], slope: float, own: bool) -> None:
    torch.manual_seed(0)
    b, maps = shape[:2]
    x, dy = picture(*shape, mean=0.7, deviation=2), picture(*shape)
    gain, offset = (torch.randn((b, maps) if own else (maps,)) for _ in range(2))
    mine, theirs = ((torch.zeros(maps), torch.ones(maps)) for _ in range(2))
    leaves = [t.clone().requires_grad_() for t in (x, gain, offset)]
    y = norm(*leaves, Running(*mine, 0.3), 1e-5, slope)
    references = [t.float().clone().requires_grad_() for t in (x, gain, offset)]
    expected = plain(*references, theirs, slope)
    assert y is not None
    assert y.dtype == torch.bfloat16
    assert relative(y.detach(), expected.detach()) < 3e-3
    for mean_or_variance, reference in zip(mine, theirs, strict=True):
        torch.testing.assert_close(mean_or_variance, reference, rtol=1e-5, atol=1e-6)
    gradients = torch.autograd.grad(y, leaves, dy)
    expected_gradients = torch.autograd.grad(expected, references, dy.float())
    for gradient, reference in zip(gradients[1:], expected_gradients[1:], strict=True):
        torch.testing.assert_close(gradient, reference, rtol=1e-4, atol=1e-3)
    # Of two numbers a map, or of one picture's, the gradient of x is a small difference of large terms.
    size = (gain.abs().mean() * dy.float().norm() / x.float().std()).item()
    assert (gradients[0].float() - expected_gradients[0]).norm() < 3e-3 * max(size, expected_gradients[0].norm().item())


def test_a_variance_far_smaller_than_the_mean_keeps_its_digits() -> None:
    torch.manual_seed(0)
    x = picture(16, 8, 32, 32, mean=1000, deviation=20)
    x[:, 3] = 5  # a dead map
    running = Running(torch.zeros(8), torch.zeros(8), 1.0)
    y = norm(x, torch.ones(8), torch.zeros(8), running, 1e-5, 1.0)
    exact = x.double().transpose(0, 1).flatten(1)
    torch.testing.assert_close(running.mean.double(), exact.mean(1), rtol=1e-6, atol=0)
    torch.testing.assert_close(running.variance.double(), exact.var(1), rtol=1e-4, atol=1e-6)
    assert y is not None
    assert y[:, 3].abs().max() == 0


def test_what_is_not_a_number_stays_so() -> None:
    x = picture(2, 4, 4, 4)
    x[1, 2, 3, 0] = float("nan")
    y = norm(x, torch.ones(4), torch.zeros(4), None, 1e-5, 0.0)
    assert y is not None
    assert y.isnan().any((0, 2, 3)).tolist() == [False, False, True, False]
    z = activation(x.requires_grad_(), 0.2)
    assert z is not None
    assert int(z.isnan().sum()) == 1


def test_one_number_a_map_is_pytorchs_error() -> None:
    with pytest.raises(ValueError, match="more than 1 value"):
        normalise(nn.BatchNorm2d(4), picture(1, 4, 1, 1), slope=0.2)


@pytest.mark.parametrize("slope", [0.0, 0.1])
@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 7, 5, 11), (16, 64, 16, 16)])
def test_activation_alone(slope: float, inplace: bool, shape: tuple[int, int, int, int]) -> None:
    torch.manual_seed(0)
    x, dy = picture(*shape), torch.randn(shape).bfloat16()  # a gradient in another memory format
    leaf = x.clone().requires_grad_()
    y = activation(leaf * 1, slope, inplace)
    assert y is not None
    assert torch.equal(y, F.leaky_relu(x, slope))
    (gradient,) = torch.autograd.grad(y, leaf, dy)
    assert torch.equal(gradient, torch.where(x > 0, dy, dy * slope))


@pytest.mark.parametrize("shape", SHAPES)
def test_clamping_is_pytorchs_to_the_bit(shape: tuple[int, int, int, int]) -> None:
    torch.manual_seed(0)
    x, dy = picture(*shape, deviation=6), torch.randn(shape).bfloat16()
    leaf = x.clone().requires_grad_()
    y = clamp(leaf, 6.0)
    assert y is not None
    assert torch.equal(y, F.relu6(x))
    (gradient,) = torch.autograd.grad(y, leaf, dy)
    assert torch.equal(gradient, torch.where((x > 0) & (x < 6), dy, 0))


@pytest.mark.parametrize("shape", [(b, 2 * maps, h, w) for b, maps, h, w in SHAPES])
@pytest.mark.parametrize("deviation", [0.3, 3.0, 40.0])
def test_gates_with_their_gradients(shape: tuple[int, int, int, int], deviation: float) -> None:
    torch.manual_seed(0)
    b, maps, height, width = shape
    x, dy = picture(*shape, deviation=deviation), torch.randn(b, maps // 2, height, width).bfloat16()
    leaf, reference = x.clone().requires_grad_(), x.float().requires_grad_()
    y, (values, gates) = gate(leaf), reference.chunk(2, 1)
    expected = values * gates.sigmoid()
    assert y is not None
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert relative(y.detach(), expected.detach()) < 3e-3
    (gradient,), (right,) = torch.autograd.grad(y, leaf, dy), torch.autograd.grad(expected, reference, dy.float())
    assert (gradient.float() - right).norm() < 4e-3 * right.norm() + 1e-6


@pytest.mark.parametrize("shape", [(2, 32, 5, 3), (3, 96, 8, 8), (1, 512, 1, 1)])
def test_gates_in_fp16_with_a_noise_that_pictures_share(shape: tuple[int, int, int, int]) -> None:
    found = calls.kernels()
    assert found is not None
    if not found.gates_halves(shape[1]):
        pytest.skip("no AVX-512 here")
    x, noise = ((4 * torch.randn(size)).half().contiguous(memory_format=torch.channels_last) for size in (shape, (1, *shape[1:])))
    for given, added in ((noise, x.float() + noise), (None, x.float())):
        values, gates = added.chunk(2, 1)
        y = found.noisy_gate(x, given)
        assert y.is_contiguous(memory_format=torch.channels_last)
        assert relative(y, values * gates.sigmoid()) < 5e-4  # half of the last of 11 bits
    assert not found.gates_halves(48)


def test_gates_and_clamps_pass_on_what_is_not_a_number() -> None:
    x = torch.zeros(1, 2, 2, 2).bfloat16().contiguous(memory_format=torch.channels_last)
    x[0, 1, 0, 0], x[0, 0, 1, 1] = torch.nan, torch.nan
    for found in (gate(x), clamp(x, 6.0)):
        assert found is not None
        assert int(found.isnan().sum()) == 2


def test_gradients_of_gradients_raise() -> None:
    x = picture(2, 4, 4, 4).requires_grad_()
    for y in (norm(x, torch.ones(4), torch.zeros(4), None, 1e-5, 0.2), activation(x, 0.2), clamp(x * 3, 6.0), gate(x)):
        assert y is not None
        (first,) = torch.autograd.grad(y.float().square().sum(), x, create_graph=True)
        with pytest.raises(RuntimeError, match="differentiate twice"):
            first.float().square().sum().backward()
    given = [rows(1, 16, 2).requires_grad_() for _ in range(3)]
    y = attention(*given)
    assert y is not None
    (first,) = torch.autograd.grad(y.float().square().sum(), given[0], create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        first.float().square().sum().backward()


def test_frozen_gains_get_no_gradient() -> None:
    x = picture(2, 4, 4, 4).requires_grad_()
    layers = Layers(nn.BatchNorm2d(4), nn.ReLU(inplace=True)).requires_grad_(False)
    layers(x).float().sum().backward()
    assert x.grad is not None
    assert all(p.grad is None for p in layers.parameters())


def both(run: Callable[[], Tensor], monkeypatch: pytest.MonkeyPatch) -> tuple[Tensor, Tensor]:
    """With kernels and without."""
    with_kernels = run()
    with monkeypatch.context() as patch:
        patch.setenv("GANVAS_KERNELS", "0")
        return with_kernels, run()


def test_layers_are_a_sequential_with_its_state(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    steps = [nn.Conv2d(3, 8, 3), nn.LeakyReLU(0.2, inplace=True), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Tanh()]
    layers, sequential = Layers(*steps), nn.Sequential(*steps)
    assert layers.state_dict().keys() == sequential.state_dict().keys()
    x = torch.randn(4, 3, 12, 12).contiguous(memory_format=torch.channels_last)
    # Running statistics move at each call, but take no part in training.
    assert torch.equal(layers(x), sequential(x))

    def run() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return layers(x).detach()

    mine, theirs = both(run, monkeypatch)
    assert relative(mine, theirs) < 1e-2
    assert int(steps[3].num_batches_tracked) == 4  # type: ignore[arg-type]
    layers.eval()
    assert torch.equal(*both(run, monkeypatch))


def test_a_conditional_norm_has_its_tables_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layer = ConditionalBatchNorm2d(20, class_affine(5, 20))
    nn.init.normal_(layer.to_affine.weight)  # type: ignore[arg-type]
    x, labels = picture(7, 20, 5, 5), torch.tensor([0, 3, 3, 1, 4, 0, 0])

    def run() -> Tensor:
        layer.zero_grad()
        leaf = x.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            normalise(layer, leaf, labels, slope=0.2).float().square().sum().backward()
        return torch.cat([leaf.grad.flatten(), layer.to_affine.weight.grad.flatten()])  # type: ignore[union-attr]

    assert relative(*both(run, monkeypatch)) < 1e-2


def test_hooks_of_a_norm_are_called() -> None:
    seen: list[bool] = []
    layers = Layers(nn.BatchNorm2d(4), nn.ReLU())
    layers[0].register_forward_hook(lambda *_: seen.append(True))
    layers(picture(2, 4, 4, 4))
    assert seen == [True]


@pytest.mark.parametrize("shape", [(1, 3, 2, 2), (2, 5, 8, 12), (3, 64, 4, 2)])
def test_patches_are_pytorchs(shape: tuple[int, int, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    b, c, height, width = shape
    x = picture(*shape)
    patches = torch.randn(b * height * width // 4, 16 * c).bfloat16()
    assert torch.equal(*both(lambda: unfold(x), monkeypatch))
    mine, theirs = both(lambda: fold(patches, shape), monkeypatch)
    assert relative(mine, theirs) < 6e-3
    with monkeypatch.context() as patch:
        patch.setenv("GANVAS_KERNELS", "0")
        exact = fold(patches.float(), shape)
    assert torch.equal(mine, exact.bfloat16())  # rounded once


@pytest.mark.parametrize(("side", "stride"), [(1, 1), (3, 1), (5, 1), (3, 2), (5, 2), (7, 3)])
@pytest.mark.parametrize("shape", [(2, 19, 1, 1), (1, 16, 5, 3), (2, 144, 8, 6), (3, 100, 4, 9)])
def test_depthwise_gradients_through_a_clamp(shape: tuple[int, int, int, int], side: int, stride: int) -> None:
    """Of "same" convolutions, which may have fewer rows and columns of padding before the picture than after it."""
    found = calls.kernels()
    assert found is not None
    weight = torch.randn(side, side, shape[1])
    x = (4 * picture(*shape)).float().requires_grad_()
    before, after = zip(
        *(((total := max((-(-n // stride) - 1) * stride + side - n, 0)) // 2, -(-total // 2)) for n in shape[2:]), strict=True
    )
    padded = F.pad(x.clamp(0, 6), (before[1], after[1], before[0], after[0]))
    y = F.conv2d(padded, weight.permute(2, 0, 1)[:, None], None, stride, groups=shape[1])
    dy = picture(*y.shape)
    (expected,) = torch.autograd.grad(y, x, dy.float())
    entered = x.detach().clamp(0, 6).bfloat16().contiguous(memory_format=torch.channels_last)
    gradient = found.depthwise_backward(dy, weight, entered, stride, (before[0], before[1]), 6.0)
    assert (gradient.float() - expected).norm() <= 3e-3 * expected.norm() + 1e-6


@pytest.mark.parametrize("shape", [(1, 1), (32, 32), (33, 64), (100, 7), (64, 96)])
def test_transposition(shape: tuple[int, int]) -> None:
    found = calls.kernels()
    matrix = torch.randn(shape).bfloat16()
    assert found is not None
    assert torch.equal(found.transpose(matrix), matrix.t())
    torch.testing.assert_close(across(matrix, matrix).float(), matrix.float().t() @ matrix.float(), rtol=1e-2, atol=1e-2)


def rows(*shape: int, deviation: float = 1.0) -> Tensor:
    return (torch.randn(shape) * deviation).bfloat16()


@pytest.mark.parametrize(("places", "others", "size", "values"), [(1, 16, 1, 1), (70, 48, 3, 5), (256, 64, 8, 32), (65, 1040, 16, 7)])
@pytest.mark.parametrize("deviation", [0.3, 5.0], ids=["flat", "sharp"])
def test_attention_with_its_gradients(places: int, others: int, size: int, values: int, deviation: float) -> None:
    torch.manual_seed(0)
    given = (rows(3, places, size, deviation=deviation), rows(3, others, size), rows(3, others, values))
    dy = rows(3, places, values)
    leaves = [t.clone().requires_grad_() for t in given]
    y = attention(*leaves)
    assert y is not None
    assert y.dtype == torch.bfloat16
    references = [t.float().requires_grad_() for t in given]
    expected = torch.softmax(references[0] @ references[1].transpose(1, 2), 2) @ references[2]
    assert relative(y.detach(), expected.detach()) < 5e-3
    found = torch.autograd.grad(y, leaves, dy)
    for gradient, reference in zip(found, torch.autograd.grad(expected, references, dy.float()), strict=True):
        assert relative(gradient, reference) < 2e-2


def test_attention_passes_on_what_is_not_a_number() -> None:
    query, key, value = rows(1, 4, 2), rows(1, 16, 2), rows(1, 16, 3)
    query[0, 1, 0] = torch.nan
    found = attention(query, key, value)
    assert found is not None
    assert found.isnan().all(2).tolist() == [[False, True, False, False]]
    key[0, 15, 1] = torch.inf
    found = attention(query, key, value)
    assert found is not None
    expected = torch.softmax(query.float() @ key.float().mT, 2) @ value.float()
    assert found.isnan().tolist() == expected.isnan().tolist()
    assert 2 <= int(found.isnan().all(2).sum()) < 4


def test_attention_that_the_kernel_cannot_take_is_pytorchs(monkeypatch: pytest.MonkeyPatch) -> None:
    query, key, value = rows(2, 9, 4), rows(2, 32, 4), rows(2, 32, 6)
    assert attention(query, key[:, :20], value[:, :20]) is None
    assert attention(query.float(), key.float(), value.float()) is None
    assert attention(query, rows(2, 4112, 4), rows(2, 4112, 6)) is None
    assert attention(query[:0], key[:0], value[:0]) is None
    with torch.autocast("cpu", torch.bfloat16):
        found = attend(query, key, value)
        monkeypatch.setattr(functions, "_MOST_WEIGHTS", 2 * 9 * 32 - 1)
        assert attention(query, key, value) is None
        assert relative(found, attend(query, key, value)) < 1e-2


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("own", [False, True])
def test_bits_do_not_depend_on_threads(own: bool, threads: Callable[[int], None]) -> None:
    torch.manual_seed(0)
    x, dy = picture(8, 72, 24, 24), picture(8, 72, 24, 24)
    gain, offset = (torch.randn((8, 72) if own else (72,)) for _ in range(2))
    patches = torch.randn(8 * 144, 16 * 72).bfloat16()
    found = []
    for count in (1, 2, 3):
        threads(count)
        leaves = [t.clone().requires_grad_() for t in (x, gain, offset)]
        running = Running(torch.zeros(72), torch.ones(72), 0.1)
        y = norm(*leaves, running, 1e-5, 0.2)
        assert y is not None
        z = activate(y, 0.5)
        results = [y, z, *torch.autograd.grad(z, leaves, dy), running.mean, running.variance]
        kernels = calls.kernels()
        assert kernels is not None
        deep = kernels.depthwise_backward(dy, torch.ones(3, 3, 72), x, 1, (1, 1), 1.0)
        given = [t.flatten(2).mT.contiguous().requires_grad_() for t in (x, dy[..., :16, :], x[..., :16, :])]
        mixed = attention(*given)
        assert mixed is not None
        results += [mixed, *torch.autograd.grad(mixed, given, mixed.detach())]
        found.append([*results, unfold(x), fold(patches, (8, 72, 24, 24)), across(patches, patches), gate(x), clamp(x, 1.0), deep])
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))
