"""What regularisers, relativistic losses and moving numbers do in a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import pytest
import torch

from curves import build, train
from ganvas.config import RunConfig, io
from ganvas.errors import UsageError
from ganvas.families.base import StepState
from ganvas.families.gan import Gan
from ganvas.families.regularising import Players, Shown, build_regulariser
from ganvas.types import Batch


def tiny(**settings: Any) -> RunConfig:
    small = {
        f"family.{player}.{key}": value for player in ("generator", "discriminator") for key, value in (("width", 4), ("max_width", 8))
    }
    changed = {key.replace("__", "."): value for key, value in settings.items()}
    return io.load("sngan32", (), {"data.resolution": 16, "train.batch": 8, "family.d_steps": 1, **small, **changed})


def test_lecam_keeps_its_averages_with_the_checkpoint() -> None:
    family, metrics = train(tiny(family__regulariser={"kind": "lecam"}), 3)
    assert all("lecam" in step for step in metrics)
    state = family.modules()["regulariser"].state_dict()
    assert int(state["updates"]) == 3
    assert float(state["real"]) != 0
    assert "regulariser" not in build(tiny()).modules()
    assert train(tiny(family__regulariser={"kind": "lecam", "weight": 5}), 2)[1][1]["d_logit_real"] != metrics[1]["d_logit_real"]


def players_of(count: int, make: Callable[[torch.Tensor, Shown], torch.Tensor]) -> Players:
    """A constant critic, beside a generator."""

    def draw(start: int, count: int, stream: str) -> NoReturn:
        raise AssertionError("no further latents are needed")

    return Players(torch.nn.Identity(), lambda shown: torch.ones(count), make, draw, StepState(0, torch.device("cpu"), "fp32"))


ALL = {"kind": "consistency", "real": 10, "fake": 10, "latent": 5, "spread": 0.5}


def test_consistency_has_the_terms_that_have_a_weight() -> None:
    (step,) = train(tiny(family__regulariser=ALL), 1)[1]
    names = {"consistency_real", "consistency_fake", "consistency_latent", "spread"}
    assert names <= step.keys()
    assert all(step[name] > 0 for name in names)
    (plain,) = train(tiny(family__regulariser={"kind": "consistency"}), 1)[1]
    assert names & plain.keys() == {"consistency_real"}
    with pytest.raises(UsageError, match="does nothing"):
        io.load("sngan32", (), {"family.regulariser": {"kind": "consistency", "real": 0}})


def test_a_constant_critic_is_consistent_and_a_constant_generator_is_not_spread() -> None:
    config = tiny(family__regulariser=ALL).family.regulariser
    regulariser = build_regulariser(config, 0, 16, 0)
    assert regulariser is not None
    players = players_of(4, lambda latents, like: torch.zeros(len(latents), 3, 16, 16))
    real, fake = Shown("real", 0, torch.randn(4, 3, 16, 16)), Shown("fake", 0, torch.zeros(4, 3, 16, 16), latents=torch.randn(4, 6))
    terms = regulariser.discriminator(players, real, fake, (torch.ones(4), torch.ones(4)))
    assert {name: float(value) for name, (_, value) in terms.items()} == dict.fromkeys(
        ("consistency_real", "consistency_fake", "consistency_latent"), 0.0
    )
    ((weight, value),) = regulariser.generator(players, fake).values()
    assert (weight, float(value)) == (-0.5, 0)


def test_neighbours_are_as_near_as_asked_and_changes_are_small() -> None:
    seen: list[Any] = []
    config = tiny(family__regulariser={**ALL, "noise": 0.03}).family.regulariser
    regulariser = build_regulariser(config, 0, 16, 0)
    assert regulariser is not None
    z = torch.randn(500, 20)

    def make(latents: torch.Tensor, like: Shown) -> torch.Tensor:
        seen.append(latents)
        return torch.zeros(500, 3, 16, 16)

    fake = Shown("generator", 7, torch.zeros(500, 3, 16, 16), latents=z)
    regulariser.generator(players_of(500, make), fake)
    assert float((seen[0] - z).std()) == pytest.approx(0.03, rel=0.03)
    regulariser.generator(players_of(500, make), fake)
    assert torch.equal(seen[0], seen[1])


@pytest.mark.parametrize("kind", ["relativistic_pairing", "relativistic_hinge"])
def test_relativistic_losses_step_and_judge_by_comparison(kind: str) -> None:
    family, metrics = train(tiny(family__loss={"kind": kind}), 3)
    for step in metrics:
        assert {"loss_d", "loss_g", "d_real", "d_fake", "d_accuracy_real"} <= step.keys()
        assert step["d_real"] > 0.5 or step["d_fake"] > 0.4
    assert isinstance(family, Gan)


def test_r1_and_r2_are_added_at_their_steps() -> None:
    _, metrics = train(tiny(family__discriminator__spectral_norm=False, family__penalty={"kind": "r1r2", "every": 2}), 3)
    assert [{"r1", "r2"} <= step.keys() for step in metrics] == [True, False, True]


def test_beta2_and_gamma_move_with_the_schedule() -> None:
    config = tiny(family__optimizer_d={"kind": "adam", "betas": [0.0, 0.9], "final_beta2": 0.99})
    family = build(config)

    def draw() -> Batch:
        return Batch(torch.zeros(8, 3, 16, 16), None, 0)

    found = []
    for annealed in (0.0, 0.5, 1.0):
        family.step(draw, StepState(0, torch.device("cpu"), "fp32", annealed=annealed))
        found.append([family.optimizers()[name].param_groups[0]["betas"] for name in ("discriminator", "generator")])
    assert [betas[0][1] for betas in found] == pytest.approx([0.9, 0.945, 0.99])
    assert all(betas[1] == (0.0, 0.9) for betas in found)
