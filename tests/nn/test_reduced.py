"""Weights in bf16 are those of now, and share one gradient."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn

from ganvas.nn.conv import Conv2d, ConvTranspose2d, FromLatent, ToLogit
from ganvas.nn.reduced import Reduced


def call(kept: Reduced, weight: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return kept(weight)


@pytest.fixture
def weight() -> nn.Parameter:
    torch.manual_seed(0)
    return nn.Parameter(torch.randn(6, 5, 4, 4).to(memory_format=torch.channels_last))


def test_one_cast_serves_until_the_next_update(weight: nn.Parameter) -> None:
    kept = Reduced()
    first = call(kept, weight)
    assert torch.equal(first, weight.bfloat16())
    assert first.stride() == weight.stride()
    assert call(kept, weight) is first
    with torch.no_grad():
        assert call(kept, weight).data_ptr() == first.data_ptr()


@pytest.mark.parametrize("how", ["fused", "foreach", "in place", "loaded", "replaced"])
def test_no_change_goes_unseen(weight: nn.Parameter, how: str) -> None:
    kept = Reduced()
    holder = nn.Module()
    holder.weight = weight
    call(kept, weight).float().square().sum().backward()
    if how in ("fused", "foreach"):
        torch.optim.Adam([weight], lr=0.1, **{how: True}).step()  # type: ignore[arg-type]
    elif how == "in place":
        with torch.no_grad():
            weight.clamp_(-0.5, 0.5)
    elif how == "loaded":
        holder.load_state_dict({"weight": torch.zeros_like(weight)})
    else:
        weight.data = torch.ones_like(weight)
    assert torch.equal(call(kept, weight), weight.bfloat16())


def test_two_passes_add_their_gradients(weight: nn.Parameter) -> None:
    kept = Reduced()
    (call(kept, weight).float().sum() + 2 * call(kept, weight).float().sum()).backward()
    assert weight.grad is not None
    assert weight.grad.dtype == torch.float32
    assert torch.equal(weight.grad, torch.full_like(weight, 3))
    call(kept, weight).float().sum().backward()  # once more, with the same copy
    assert torch.equal(weight.grad, torch.full_like(weight, 4))


def test_full_precision_gets_the_weight_itself(weight: nn.Parameter) -> None:
    kept = Reduced()
    assert kept(weight) is weight
    double = nn.Parameter(weight.detach().double())
    assert call(kept, double) is double


def test_inference_leaves_nothing_that_training_cannot_use(weight: nn.Parameter) -> None:
    kept = Reduced()
    with torch.inference_mode():
        call(kept, weight)
    call(kept, weight).float().sum().backward()
    assert weight.grad is not None


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Conv2d(3, 4, 4, 2, 1), (2, 3, 8, 8)),
        (Conv2d(3, 4, 3, 1, 1), (2, 3, 8, 8)),
        (ConvTranspose2d(3, 4, 4, 2, 1), (2, 3, 8, 8)),
        (ConvTranspose2d(3, 4, 5, 2, 2, output_padding=1), (2, 3, 9, 9)),
        (FromLatent(3, 4, 4, 1, 0, bias=False), (2, 3, 1, 1)),
        (ToLogit(3, 1, 4, 1, 0), (2, 3, 4, 4)),
    ],
)
def test_layers_copy_and_pickle_after_a_pass(layer: nn.Module, shape: tuple[int, ...]) -> None:
    x = torch.randn(shape)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
        y.float().sum().backward()
        other = copy.deepcopy(layer)
        with torch.no_grad():
            for p in other.parameters():
                p.zero_()
        assert not other(x).any()
        assert torch.equal(layer(x), y)
        assert torch.equal(pickle.loads(pickle.dumps(layer))(x), y)
