"""The loading is real; the weights are random, for the published ones can't be had offline."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch

from ganvas.artifact import sha256
from ganvas.errors import UsageError
from ganvas.features import inception
from ganvas.features.backbone import load_features
from ganvas.features.inception import InceptionFeatures

fidelity = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3", reason="needs torch-fidelity, of the extra inception")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state dict of the same network with random weights."""
    generator = torch.Generator().manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        # The network is only made for its shapes: it must not go to the internet for weights.
        patch.setattr(fidelity, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(fidelity.FeatureExtractorInceptionV3, "load_state_dict", lambda *_, **__: None)
        network = fidelity.FeatureExtractorInceptionV3("shapes", ["2048"])
    state = network.state_dict()
    for key, value in state.items():
        if value.ndim > 1:
            state[key] = torch.randn(value.shape, generator=generator) * (2 / value[0].numel()) ** 0.5
        elif "running" not in key and value.ndim == 1:
            state[key] = value + torch.rand(value.shape, generator=generator) * 0.1
    path = tmp_path_factory.mktemp("inception") / inception.WEIGHTS_FILE
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)


def test_features_and_logits_are_torch_fidelitys(weights: Path, pictures: np.ndarray) -> None:
    net = InceptionFeatures.load(weights, expected=sha256(weights))
    assert (net.name, net.dim, net.checksum) == ("inception-2015", 2048, sha256(weights))
    peer = fidelity.FeatureExtractorInceptionV3("peer", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(weights))
    expected, expected_logits = peer(torch.from_numpy(pictures).permute(0, 3, 1, 2))
    features, logits = net.features_and_logits(pictures)
    torch.testing.assert_close(features, expected, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(logits, expected_logits, rtol=1e-3, atol=1e-3)
    assert features.std() > 0


def test_the_environment_names_the_weights(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(inception.WEIGHTS_VARIABLE, str(weights))
    with pytest.raises(UsageError, match="is not the weights file of inception-2015"):
        load_features("inception")


def test_without_weights_it_says_what_to_download(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"6726825d.*github\.com.*GANVAS_INCEPTION_WEIGHTS"):
        load_features("inception-2015")
    with pytest.raises(UsageError, match="are not at"):
        load_features("inception", weights=tmp_path / "absent.pth")


def test_without_torch_fidelity_it_says_what_to_install(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(UsageError, match=r"ganvas\[inception\]"):
        load_features("inception", weights=weights)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"fc.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(UsageError, match="another network"):
        InceptionFeatures.load(path, expected=sha256(path))


class _Payload:
    """What a pickle can do: run something when it is opened."""

    ran = False

    def __reduce__(self):
        return (_Payload._run, ())

    @staticmethod
    def _run() -> None:
        _Payload.ran = True


def test_a_pickle_in_disguise_is_not_opened(tmp_path: Path) -> None:
    copy = io.BytesIO()
    torch.save({"fc.weight": _Payload()}, copy)
    path = tmp_path / "evil.pth"
    path.write_bytes(copy.getvalue())
    with pytest.raises(UsageError, match="can't be read as weights"):
        InceptionFeatures.load(path, expected=sha256(path))
    assert not _Payload.ran
