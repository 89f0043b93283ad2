"""Self-attention: the identity at first, then a mixture of places."""

from __future__ import annotations

import torch

from ganvas.nn.attention import SelfAttention


def test_it_starts_as_the_identity_and_learns_to_leave_it() -> None:
    torch.manual_seed(0)
    layer, x = SelfAttention(16), torch.randn(2, 16, 8, 8)
    y = layer(x)
    assert torch.equal(y, x)
    (y * torch.randn_like(y)).sum().backward()
    assert layer.gamma.grad is not None
    assert float(layer.gamma.grad.abs()) > 0


def test_it_is_the_papers_formula() -> None:
    torch.manual_seed(0)
    layer, x = SelfAttention(16).double(), torch.randn(1, 16, 4, 4, dtype=torch.float64)
    torch.nn.init.constant_(layer.gamma, 0.7)
    by_place = x[0].flatten(1)
    query = layer.query.weight[:, :, 0, 0] @ by_place
    key, value = (
        torch.nn.functional.max_pool2d((m.weight[:, :, 0, 0] @ by_place).view(1, -1, 4, 4), 2)[0].flatten(1)
        for m in (layer.key, layer.value)
    )
    columns = []
    for place in range(16):
        weights = torch.softmax(torch.stack([query[:, place] @ key[:, other] for other in range(4)]), 0)
        columns.append(layer.out.weight[:, :, 0, 0] @ (value @ weights))
    expected = x + 0.7 * torch.stack(columns, 1).view(1, 16, 4, 4)
    assert torch.allclose(layer(x), expected)


def test_a_far_place_matters() -> None:
    torch.manual_seed(0)
    layer, x = SelfAttention(16), torch.randn(1, 16, 16, 16)
    torch.nn.init.constant_(layer.gamma, 1.0)
    changed = x.clone()
    changed[..., -1, -1] += 3
    assert not torch.allclose(layer(x)[..., 0, 0], layer(changed)[..., 0, 0])


def test_bf16_is_near() -> None:
    torch.manual_seed(0)
    layer, x = SelfAttention(32), torch.randn(4, 32, 16, 16).contiguous(memory_format=torch.channels_last)
    torch.nn.init.constant_(layer.gamma, 1.0)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x.bfloat16())
    assert y.dtype == torch.bfloat16
    expected = layer(x).detach()
    assert float((y.detach().float() - expected).norm() / expected.norm()) < 1e-2
