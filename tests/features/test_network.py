from __future__ import annotations

import numpy as np
import pytest

from ganvas.errors import UsageError
from ganvas.features.backbone import FEATURES
from ganvas.features.dinov2 import DinoFeatures
from ganvas.features.inception import InceptionFeatures
from ganvas.features.lite import LiteFeatures
from ganvas.features.network import FeatureNetwork


def test_only_inceptions_logits_are_the_inception_scores() -> None:
    says = {kind: (kind.has_logits, kind.has_inception_logits) for kind in (InceptionFeatures, LiteFeatures, DinoFeatures)}
    assert says == {InceptionFeatures: (True, True), LiteFeatures: (True, False), DinoFeatures: (False, False)}


def test_families_join_networks_that_see_alike(net: FeatureNetwork) -> None:
    families = {}
    for name in FEATURES:
        net.name, before = name, net.name
        families.setdefault(net.family, []).append(name)
        net.name = before
    assert families == {
        "efficientnet": ["efficientnet-lite0", "efficientnet-lite2"],
        "inception": ["inception-2015"],
        "dinov2": ["dinov2-vits14", "dinov2-vitb14", "dinov2-vitl14"],
    }


def test_a_network_without_classes_says_so(net: FeatureNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(net, LiteFeatures)
    monkeypatch.setattr(net, "_chunk", lambda pixels, logits: (net.network.pooled(net.prepare(pixels)), None))
    with pytest.raises(UsageError, match="sorts pictures into no classes"):
        net.features_and_logits(np.zeros((1, 8, 8, 3), np.uint8))
