"""Generators made faster against themselves."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from curves import CLASSES, build, narrow
from ganvas.config import io
from ganvas.errors import UsageError
from ganvas.families.base import Family
from ganvas.models.faster import computes_in_fp16, engines, faster, materialise, on_engine, parts
from ganvas.nn.norm import batch_norms

KNOWN = ("dcgan", "resnet", "biggan", "fastgan")
RECIPES = [name for name in io.recipe_names() if io.recipe(name).family.generator.kind in KNOWN]
OTHERS = [name for name in io.recipe_names() if io.recipe(name).family.generator.kind not in KNOWN]
PICTURES = 64

needs_onednn = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this PyTorch has no oneDNN")


def made(name: str) -> tuple[Family, nn.Module, Tensor, Tensor | None]:
    """A narrow recipe's family, its generator with batch norms that learnt from its own pictures, latents and labels."""
    family = build(narrow(name))
    generator = family.modules()["generator"]
    latents = family.sampler(family.modules()).latents(5, 0, PICTURES)
    labels = torch.arange(PICTURES) % CLASSES if family.classes else None
    generator.train()
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _ in range(3):
            generator(latents, labels)
        for norm in batch_norms(generator):
            assert norm.running_mean is not None
            norm.running_mean.add_(torch.randn(norm.num_features, generator=g) * 0.01)
    return family, generator.eval().requires_grad_(False), latents, labels


@torch.inference_mode()
def levels(a: Tensor, b: Tensor) -> float:
    """The largest difference in grey levels."""
    return float((a.float() - b.float()).abs().max()) * 127.5


@needs_onednn
@pytest.mark.parametrize("name", RECIPES)
def test_a_faster_generator_makes_the_same_pictures(name: str) -> None:
    _, generator, latents, labels = made(name)
    before = {key: value.clone() for key, value in generator.state_dict().items()}
    with torch.inference_mode():
        right = generator(latents, labels)
        assert levels(on_engine(generator, "fp32")(latents, labels), right) < 0.05
        if computes_in_fp16():
            rounded = on_engine(generator, "fp16")
            assert levels(rounded(latents, labels), right) < 1
            assert torch.equal(rounded(latents, labels), rounded(latents, labels))
            assert levels(on_engine(generator, f"fp16/{parts(generator)}")(latents, labels), right) <= 0.5
        # The network itself is as it was, its normalised weights too.
        assert torch.equal(generator(latents, labels), right)
    assert all(torch.equal(value, before[key]) for key, value in generator.state_dict().items())


@needs_onednn
def test_mixtures_of_classes_stay_mixtures() -> None:
    _, generator, latents, _ = made("biggan64")
    weights = torch.softmax(torch.randn(PICTURES, CLASSES, generator=torch.Generator().manual_seed(1)), 1)
    with torch.inference_mode():
        assert levels(on_engine(generator, "fp32")(latents, weights), generator(latents, weights)) < 0.05


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_not_known_is_left_alone(name: str) -> None:
    generator = build(narrow(name)).modules()["generator"].eval()
    assert engines(generator) == ()
    assert faster(generator, torch.float16) is None
    with pytest.raises(UsageError, match="no engine"):
        on_engine(generator, "fp16")


def test_without_fp16_in_the_processor_there_is_fp32_and_a_word_on_why(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = build(narrow("dcgan64")).modules()["generator"].eval()
    monkeypatch.setattr("ganvas.models.faster.computes_in_fp16", lambda: False)
    assert engines(generator) == ("fp32",)
    with pytest.raises(UsageError, match="AVX512-FP16"):
        on_engine(generator, "fp16/1")


def test_engines_are_named_and_others_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganvas.models.faster.computes_in_fp16", lambda: True)
    generator = build(narrow("dcgan64")).modules()["generator"].eval()
    count = parts(generator)
    assert engines(generator)[0] == "fp16"
    assert engines(generator)[-1] == "fp32"
    assert len(engines(generator)) == count + 1
    for name in ("fp8", "fp16/99", "fp16/x", ""):
        with pytest.raises(UsageError, match="is no engine: expected auto, eager"):
            on_engine(generator, name)


def test_normalised_weights_become_plain_in_one_copy_only() -> None:
    _, generator, latents, labels = made("biggan64")
    twin = copy.deepcopy(generator)
    with torch.no_grad():
        right = generator(latents, labels)
        materialise(twin)
        assert not any(hasattr(layer, "parametrizations") for layer in twin.modules())
        torch.testing.assert_close(twin(latents, labels), right, rtol=1e-5, atol=1e-5)
        assert any(hasattr(layer, "parametrizations") for layer in generator.modules())
        assert torch.equal(generator(latents, labels), right)
