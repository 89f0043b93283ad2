"""The steps of the two players: who learns when, what is counted, what is logged, what can't be asked for."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from curves import build, train
from ganvas.config import RunConfig, io
from ganvas.errors import UsageError
from ganvas.families.base import StepState
from ganvas.families.gan import Gan
from ganvas.types import Batch


def tiny(**settings: Any) -> RunConfig:
    small = {
        f"family.{player}.{key}": value for player in ("generator", "discriminator") for key, value in (("width", 4), ("max_width", 8))
    }
    changed = {key.replace("__", "."): value for key, value in settings.items()}
    return io.load("cifar10-dcgan64", (), {"data.resolution": 16, "train.batch": 8, **small, **changed})


def gan(config: RunConfig) -> Gan:
    family = build(config)
    assert isinstance(family, Gan)
    return family


def discriminator(family: Any) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in family.modules()["discriminator"].named_parameters()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return all(torch.equal(a[key], b[key]) for key in a)


def test_a_resting_discriminator_does_not_change_and_its_pictures_count() -> None:
    config = tiny(family__d_every=3)
    _, metrics = train(config, 7)
    assert ["loss_d" in step for step in metrics] == [True, False, False, True, False, False, True]
    assert all("loss_g" in step for step in metrics)
    after = [discriminator(train(config, steps)[0]) for steps in (1, 3, 4)]
    assert same(after[0], after[1])
    assert not same(after[1], after[2])


@pytest.mark.parametrize(("settings", "drawn"), [({"d_every": 2}, 1), ({"d_steps": 3}, 3), ({}, 1)])
def test_pictures_drawn_in_a_step(settings: dict[str, int], drawn: int) -> None:
    config, starts = tiny(**{f"family__{key}": value for key, value in settings.items()}), []

    def draw() -> Batch:
        starts.append(8 * len(starts))
        return Batch(torch.zeros(8, 3, 16, 16), None, starts[-1])

    family = gan(config)
    for step in range(2):
        family.step(draw, StepState(0, torch.device("cpu"), "fp32", images=8 * len(starts), step=step))
    assert len(starts) == 2 * drawn


def test_losses_and_beliefs_are_logged_apart() -> None:
    _, (step,) = train(tiny(), 1)
    assert step["loss_d"] == pytest.approx(step["loss_d_real"] + step["loss_d_fake"])
    for name in ("d_real", "d_fake", "d_accuracy_real", "d_accuracy_fake"):
        assert 0 <= step[name] <= 1


def test_a_clipped_critic_stays_within() -> None:
    family, _ = train(tiny(family__loss={"kind": "wasserstein", "clip": 0.01}), 3)
    assert max(float(p.abs().max()) for p in discriminator(family).values()) <= 0.01
    assert any(bool((p.abs() > 0.01).any()) for p in family.modules()["generator"].parameters())


def test_label_noise_belongs_to_the_picture() -> None:
    config = tiny(family__loss={"kind": "bce", "label_noise": 0.3})
    family = gan(config)
    state = StepState(0, torch.device("cpu"), "fp32")
    whole = family._flips("real", Batch(torch.zeros(2000, 3, 16, 16), None, 0), state)
    part = family._flips("real", Batch(torch.zeros(10, 3, 16, 16), None, 700), state)
    assert whole is not None
    assert part is not None
    assert torch.equal(whole[700:710], part)
    assert float(whole.float().mean()) == pytest.approx(0.3, abs=0.04)
    assert train(config, 2)[1] != train(tiny(), 2)[1]
    assert gan(tiny())._flips("real", Batch(torch.zeros(2, 3, 16, 16), None, 0), state) is None


PENALTIES = [{"kind": "r1", "every": 2}, {"kind": "gradient", "every": 2}]


@pytest.mark.parametrize("penalty", PENALTIES)
def test_penalties_come_when_due_and_change_the_critic(penalty: dict[str, Any]) -> None:
    plain = {"family__discriminator__norm": None, "family__loss": {"kind": "hinge"}}
    config = tiny(**plain, family__penalty=penalty)
    family, metrics = train(config, 4)
    name = {"r1": "r1", "gradient": "gradient_penalty"}[penalty["kind"]]
    assert [name in step for step in metrics] == [True, False, True, False]
    assert not same(discriminator(train(config, 1)[0]), discriminator(train(tiny(**plain), 1)[0]))
    resting = tiny(**plain, family__penalty=penalty, family__d_every=2)
    # Every second of D's own updates, which are every second step.
    assert [name in step for step in train(resting, 5)[1]] == [True, False, False, False, True]
    assert family.modules()


def test_penalties_are_computed_in_full_precision() -> None:
    config = tiny(family__discriminator__norm=None, family__loss={"kind": "wasserstein"}, family__penalty={"kind": "gradient"})
    (full,), (half,) = train(config, 1, "fp32")[1], train(config, 1, "bf16")[1]
    assert full["gradient_penalty"] == pytest.approx(half["gradient_penalty"], rel=2e-3)


def test_an_auxiliary_classifier_learns_the_classes() -> None:
    config = tiny(family__generator__labels="onehot", family__discriminator__labels="auxiliary", family__auxiliary_weight=1.0)
    family, metrics = train(config, 30)
    assert metrics[-1]["loss_classes"] < metrics[0]["loss_classes"]
    before = build(config).modules()["discriminator"].get_parameter("classifier.weight")
    assert not torch.equal(before, family.modules()["discriminator"].get_parameter("classifier.weight"))


def test_a_paired_fake_is_of_the_class_of_the_real_picture_at_its_place() -> None:
    labels = {"family.generator.labels": "embedding", "family.discriminator.labels": "projection"}
    known = Batch(torch.zeros(8, 3, 16, 16), torch.tensor([2, 0, 1, 1, 0, 2, 2, 0]), 16)
    drawn = {}
    for how in ("data", "paired"):
        family = gan(tiny(**labels, family__fake_labels=how))
        shown = family._fakes(known, StepState(0, torch.device("cpu"), "fp32"), "fake")
        assert shown.labels is not None
        drawn[how] = shown
    assert torch.equal(drawn["paired"].labels, known.labels)
    assert not torch.equal(drawn["data"].labels, known.labels)
    # Latents stay what they were: another way to draw classes is another run, of the same latents.
    assert torch.equal(drawn["paired"].latents, drawn["data"].latents)


def test_a_family_in_another_range_samples_in_the_usual_one() -> None:
    config = tiny(family__pixel_range=[0, 1], family__generator__output="sigmoid")
    family = gan(config)
    z = torch.randn(20, 100) * 50
    pictures = family.sampler({n: m.eval() for n, m in family.modules().items()})(z, None)
    assert -1 <= float(pictures.detach().min()) < -0.1
    assert float(pictures.detach().max()) <= 1


def test_uniform_latents_enter_the_generator_standardised() -> None:
    uniform, usual = (gan(tiny(family__latent__distribution=law)).modules()["generator"].eval() for law in ("uniform", "normal"))
    latents = torch.rand(4, 100)
    assert torch.allclose(uniform(latents), usual((latents - 0.5) * 12**0.5), atol=1e-6)


def test_momentum_has_state() -> None:
    family, _ = train(tiny(family__optimizer_d={"kind": "sgd", "lr": 0.1, "momentum": 0.5}), 1)
    state = family.optimizers()["discriminator"].state_dict()["state"]
    assert all("momentum_buffer" in values for values in state.values())
    assert len(state) == len(discriminator(family))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"loss": {"kind": "wasserstein"}}, "kept Lipschitz"),
        ({"loss": {"kind": "wasserstein", "clip": 0.01}, "discriminator.spectral_norm": True}, "choose one"),
        ({"loss": {"kind": "wasserstein", "clip": 0.01}, "discriminator.norm": None, "penalty": {"kind": "gradient"}}, "choose one"),
        ({"penalty": {"kind": "gradient"}}, "without batch norm"),
        ({"penalty": {"kind": "r1"}}, "without batch norm"),
        ({"d_steps": 2, "d_every": 2}, "contradict"),
        ({"generator.output": "sigmoid"}, "sigmoid makes pixels"),
        ({"pixel_range": [0, 255]}, "expected .-1, 1. or .0, 1."),
        ({"loss": {"kind": "bce", "label_noise": 0.7}}, "label_noise"),
        ({"loss": {"kind": "least_squares", "real_target": 0}}, "must be above"),
        ({"generator.kernel": 6}, "kernel"),
        ({"discriminator.labels": "auxiliary"}, "go together"),
    ],
)
def test_what_can_not_be_asked_for(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        io.load("cifar10-dcgan64", (), {f"family.{key}": value for key, value in settings.items()})


def test_other_networks_can_be_chosen_by_kind() -> None:
    config = io.load("cifar10-dcgan64", ["family.generator={kind: mlp}", "family.discriminator={kind: mlp, pieces: 1}"])
    assert (config.family.generator.kind, config.family.discriminator.kind) == ("mlp", "mlp")
    assert io.load("cifar10-dcgan64", ["family.generator={width: 32}"]).family.generator.kind == "dcgan"
    with pytest.raises(UsageError, match=r'"family\.generator\.widht" is no key'):
        io.load("cifar10-dcgan64", ["family.generator.widht=3"])
