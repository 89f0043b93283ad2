"""The architecture is the released one; the weights are random, for the published ones can't be had offline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ganvas.artifact import sha256
from ganvas.errors import UsageError
from ganvas.features import dinov2
from ganvas.features.backbone import load_features
from ganvas.features.dinov2 import SIZES, Size
from ganvas.features.vit import VisionTransformer

SMALL = SIZES[0]


def _state(size: Size, seed: int = 0) -> dict[str, Tensor]:
    """Random weights in the release's layout: large enough that every part moves the result."""
    generator = torch.Generator().manual_seed(seed)
    shapes = VisionTransformer(size.dim, size.depth, size.heads, grid=37).state_dict()
    state = {}
    for key, value in shapes.items():
        spread = 0.3 if value.ndim == 1 or key in ("pos_embed", "cls_token") else value[0].numel() ** -0.5
        state[key] = torch.randn(value.shape, generator=generator) * spread
        if key.endswith(("gamma", "norm1.weight", "norm2.weight", "norm.weight")):
            state[key] += 1
    return state


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dinov2") / SMALL.file
    torch.save({**_state(SMALL), "mask_token": torch.zeros(1, SMALL.dim)}, path)
    return path


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 40, 40, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: size.name)
def test_keys_and_shapes_are_the_releases(size: Size) -> None:
    timm = pytest.importorskip("timm", reason="needs timm, of the test extra")
    with torch.device("meta"):
        peer = timm.create_model(f"vit_{ {'s': 'small', 'b': 'base', 'l': 'large'}[size.name[10]] }_patch14_dinov2", pretrained=False)
        network = VisionTransformer(size.dim, size.depth, size.heads, grid=37)
    assert {key: value.shape for key, value in network.state_dict().items()} == {
        key: value.shape for key, value in peer.state_dict().items()
    }


def test_it_is_timms_network_at_the_size_it_was_trained_for() -> None:
    timm = pytest.importorskip("timm", reason="needs timm, of the test extra")
    peer = timm.create_model("vit_small_patch14_dinov2", pretrained=False).eval()
    network, state = VisionTransformer(SMALL.dim, SMALL.depth, SMALL.heads, grid=37), _state(SMALL)
    peer.load_state_dict(state)
    network.load_state_dict(state)
    images = torch.randn(1, 3, 518, 518, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(network(images), peer(images), rtol=1e-3, atol=1e-3)


def test_it_is_timms_network_at_other_sizes_with_the_same_positions() -> None:
    timm = pytest.importorskip("timm", reason="needs timm, of the test extra")
    peer = timm.create_model("vit_small_patch14_dinov2", pretrained=False, img_size=(84, 112)).eval()
    network, state = VisionTransformer(SMALL.dim, SMALL.depth, SMALL.heads, grid=37), _state(SMALL)
    network.load_state_dict(state)
    # timm resamples positions with anti-aliasing, which the release does not.
    peer.load_state_dict({**state, "pos_embed": network.positions(6, 8)})
    images = torch.randn(2, 3, 84, 112, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(network(images), peer(images), rtol=1e-3, atol=1e-3)


def test_positions_are_resampled_as_the_release_does() -> None:
    network = VisionTransformer(8, 1, 2, grid=37)
    generator = torch.Generator().manual_seed(0)
    network.pos_embed.data = torch.randn(1, 1 + 37 * 37, 8, generator=generator)
    assert torch.equal(network.positions(37, 37), network.pos_embed)
    found = network.positions(16, 16)
    assert found.shape == (1, 257, 8)
    assert torch.equal(found[:, 0], network.pos_embed[:, 0])
    # Sample i lies at (i + 1/2) 37 / 16.1 - 1/2: near the exact grid, and never on it.
    grid = network.pos_embed[:, 1:].unflatten(1, (37, 37)).permute(0, 3, 1, 2)
    at = ((torch.arange(16) + 0.5) * (37 / 16.1) - 0.5 + 0.5) * 2 / 37 - 1
    where = torch.stack(torch.meshgrid(at, at, indexing="ij")[::-1], -1)[None]
    expected = F.grid_sample(grid, where, mode="bicubic", padding_mode="border", align_corners=False)
    torch.testing.assert_close(found[:, 1:], expected.flatten(2).transpose(1, 2), rtol=1e-3, atol=1e-3)


def test_it_says_what_it_is(weights: Path, pictures: np.ndarray) -> None:
    net = load_features("dinov2-vits14", weights=weights)
    assert (net.name, net.dim, net.input_size, net.family) == ("dinov2-vits14", 384, 224, "dinov2")
    assert net.checksum == sha256(weights)
    assert net.checksum in net.identity
    features = net.features(pictures)
    assert features.shape == (6, 384)
    assert features.std(0).min() > 0
    with pytest.raises(UsageError, match="sorts pictures into no classes"):
        net.features_and_logits(pictures)


def test_features_do_not_depend_on_the_batch_or_the_threads(weights: Path, pictures: np.ndarray) -> None:
    net, before = load_features("dinov2-vits14", weights=weights), torch.get_num_threads()
    together = net.features(pictures)
    assert torch.equal(torch.cat([net.features(pictures[:1]), net.features(pictures[1:])]), together)
    try:
        torch.set_num_threads(2)
        assert torch.equal(net.features(pictures), together)
    finally:
        torch.set_num_threads(before)


def test_pictures_are_normalised_as_imagenet(weights: Path) -> None:
    net = load_features("dinov2-vits14", weights=weights)
    assert isinstance(net, dinov2.DinoFeatures)
    flat = net.prepare(torch.tensor([124, 116, 104], dtype=torch.uint8).expand(1, 30, 30, 3))
    # ImageNet's mean colour is (123.675, 116.28, 103.53).
    torch.testing.assert_close(
        flat.mean((2, 3)), torch.tensor([[0.3, -0.3, 0.5]]) / 255 / torch.tensor([0.229, 0.224, 0.225]), atol=5e-3, rtol=0
    )
    edges = net.prepare(torch.tensor([0, 255], dtype=torch.uint8).repeat_interleave(8).view(1, 1, 16, 1).expand(1, 16, 16, 3))
    white = (1 - 0.485) / 0.229
    assert edges[:, 0].max().item() == pytest.approx(white, abs=1e-5)


def test_a_file_nobody_vouched_for_is_said_so(weights: Path, tmp_path: Path) -> None:
    checksum = sha256(weights)
    (caution,) = load_features("dinov2-vits14", weights=weights).cautions
    assert f"nobody vouched for the weights of dinov2-vits14, whose SHA-256 begins with {checksum[:16]}" in caution
    assert load_features("dinov2-vits14", weights=weights, sha256=checksum).cautions == ()
    # What the caution advises is enough, also in a folder of several.
    advised = tmp_path / f"dinov2_vits14_pretrain-{checksum[:8]}.pth"
    assert advised.name in caution
    advised.symlink_to(weights)
    assert load_features("dinov2-vits14", weights=tmp_path).cautions == ()


def test_another_file_than_the_one_vouched_for_is_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is not the weights file of dinov2-vits14.*expected 12345678"):
        load_features("dinov2-vits14", weights=weights, sha256="12345678")
    named = tmp_path / "mine-12345678.pth"
    named.symlink_to(weights)
    with pytest.raises(UsageError, match="expected 12345678"):
        load_features("dinov2-vits14", weights=named)


def test_the_environment_names_a_file_or_a_folder(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for given in (weights, weights.parent):
        monkeypatch.setenv(dinov2.WEIGHTS_VARIABLE, str(given))
        assert load_features("dinov2-vits14").checksum == sha256(weights)
    with pytest.raises(UsageError, match=r"dinov2_vitl14_pretrain\.pth"):
        load_features("dinov2")


def test_without_weights_it_says_what_to_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(dinov2.WEIGHTS_VARIABLE, raising=False)
    with pytest.raises(UsageError, match=r"dinov2_vitb14/dinov2_vitb14_pretrain\.pth \(346 MB\).*GANVAS_DINOV2_WEIGHTS"):
        load_features("dinov2-vitb14")


def test_weights_of_another_size_are_refused(weights: Path) -> None:
    with pytest.raises(UsageError, match="the weights of another network than dinov2-vitb14"):
        load_features("dinov2-vitb14", weights=weights)
