"""What usually helps against each finding: settings of ours, as far as the run does not have them already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml

from ganvas.config.family import CHANGES_OF_DRAWINGS, CHANGES_OF_PHOTOGRAPHS, CodedConfig, PlayersConfig
from ganvas.config.objective import BceLoss, HingeLoss, LeastSquaresLoss, WassersteinLoss
from ganvas.config.optim import AdamConfig, Optimizer, SgdConfig
from ganvas.config.run import RunConfig

USUAL_RATE = 2e-4
"""Adam's rate in most recipes (Radford et al. 2016)."""
SMALL_LATENT = 16
CALM_MOMENTUM = 0.5


def advice(kind: str, config: RunConfig | None) -> tuple[str, ...]:
    """What usually helps against a finding, most promising first; general words where the config is not known."""
    found = [words for remedy in REMEDIES.get(kind, ()) if (words := remedy(config)) is not None]
    return tuple(dict.fromkeys(found))


Remedy = Callable[[RunConfig | None], str | None]


def _say(words: str) -> Remedy:
    return lambda _: words


def _has(part: Any, name: str) -> bool:
    return getattr(part, name, None) not in (None, False, 0)


def _game(config: RunConfig | None) -> PlayersConfig | None:
    """The game of two players, where the run is one and its config is known."""
    return config.family if config is not None and isinstance(config.family, PlayersConfig) else None


def _is_game(config: RunConfig | None) -> bool:
    return config is None or isinstance(config.family, PlayersConfig)


def _augment(config: RunConfig | None) -> str | None:
    game = _game(config)
    if not _is_game(config) or (game is not None and game.critic_augment is not None):
        return None
    return "augment what D sees: --set 'family.critic_augment={kind: diffaugment, policy: [color, translation]}'"


def _lower_rates(config: RunConfig | None) -> str:
    if config is None:
        return "halve the learning rates"
    optimizers = _optimizers(config)
    ceiling = USUAL_RATE if _game(config) and all(isinstance(o, AdamConfig) for o in optimizers.values()) else float("inf")
    lower = " ".join(f"--set family.{name}.lr={min(o.lr / 2, ceiling):g}" for name, o in optimizers.items())
    return f"{'lower learning rates' if len(optimizers) > 1 else 'a lower learning rate'}: {lower}"


def _optimizers(config: RunConfig) -> dict[str, Optimizer]:
    """By the names of their settings."""
    game = _game(config)
    return {"optimizer_g": config.family.optimizer_g} | ({} if game is None else {"optimizer_d": game.optimizer_d})


def _lower_rate_d(config: RunConfig | None) -> str | None:
    game = _game(config)
    if game is None:
        return "halve the discriminator's learning rate" if config is None else None
    return f"a slower discriminator: --set family.optimizer_d.lr={game.optimizer_d.lr / 2:g}"


def _higher_rate(config: RunConfig | None) -> str | None:
    """For a generator alone, which no discriminator can hold up."""
    return (
        None
        if config is None or _is_game(config)
        else f"a higher learning rate: --set family.optimizer_g.lr={config.family.optimizer_g.lr * 2:g}"
    )


def _adam(config: RunConfig | None) -> str | None:
    if config is None or not isinstance(config.family.optimizer_g, SgdConfig):
        return None
    return "Adam: " + " ".join(f"--set 'family.{name}={{kind: adam, lr: 2e-4}}'" for name in _optimizers(config))


def _momentum(config: RunConfig | None) -> str | None:
    optimizers = {} if config is None else _optimizers(config)
    if not any(isinstance(o, AdamConfig) and o.betas[0] > CALM_MOMENTUM for o in optimizers.values()):
        return None
    return "less momentum: " + " ".join(f"--set 'family.{name}.betas=[0.5, 0.999]'" for name in optimizers)


def _spectral_norm(config: RunConfig | None) -> str | None:
    family = _game(config)
    if family is None:
        return "spectral norm in the discriminator" if config is None else None
    clipped = isinstance(family.loss, WassersteinLoss) and family.loss.clip is not None
    can = hasattr(family.discriminator, "spectral_norm")
    if not can or _has(family.discriminator, "spectral_norm") or family.penalty is not None or clipped:
        return None
    norm = " --set family.discriminator.norm=null" if _has(family.discriminator, "norm") else ""
    return f"spectral norm in the discriminator: --set family.discriminator.spectral_norm=true{norm}"


def _clip(config: RunConfig | None) -> str | None:
    game = _game(config)
    loss = None if game is None else game.loss
    if not isinstance(loss, WassersteinLoss) or loss.clip is None:
        return None
    smaller = "" if loss.clip <= 0.01 else "the paper's clip, --set family.loss.clip=0.01, or "
    return (
        f"{smaller}a gradient penalty in its place: --set family.loss.clip=null --set 'family.penalty={{kind: gradient}}' "
        "--set family.discriminator.norm=null"
    )


def _batch_norm(config: RunConfig | None) -> str | None:
    generator = None if config is None else config.family.generator
    if not hasattr(generator, "norm") or _has(generator, "norm"):
        return None
    return "batch norm in the generator: --set family.generator.norm=batch"


def _tanh(config: RunConfig | None) -> str | None:
    if config is None or getattr(config.family.generator, "output", "tanh") != "sigmoid":
        return None
    return "pixels in [-1, 1]: --set 'family.pixel_range=[-1, 1]' --set family.generator.output=tanh"


def _latent(config: RunConfig | None) -> str | None:
    latent = None if config is None else getattr(config.family, "latent", None)
    if latent is None or latent.size >= SMALL_LATENT:
        return None
    return f"a latent of more than {latent.size} numbers: --set family.latent.size=100"


def _batch(config: RunConfig | None) -> str | None:
    return None if config is None or config.train.batch >= 64 else "a larger batch: --batch 64"


def _average(config: RunConfig | None) -> str | None:
    if config is None or config.ema is not None:
        return None
    return "an average of the generator, which smooths what hops: --set 'ema={halflife_images: 10000}'"


def _smooth(config: RunConfig | None) -> str | None:
    game = _game(config)
    loss = None if game is None else game.loss
    if isinstance(loss, BceLoss) and loss.real_target == 1.0:
        return "label smoothing: --set family.loss.real_target=0.9"
    noisy = isinstance(loss, HingeLoss | LeastSquaresLoss) and not loss.label_noise
    return "label noise: --set family.loss.label_noise=0.1" if noisy else None


def _mirror(config: RunConfig | None) -> str | None:
    return None if config is None or config.augment.flip else "mirrored pictures, where that makes sense: --set augment.flip=true"


def _penalty(config: RunConfig | None) -> str | None:
    game = _game(config)
    if game is None or game.penalty is not None or isinstance(game.loss, WassersteinLoss):
        return None
    norm = " --set family.discriminator.norm=null" if _has(game.discriminator, "norm") else ""
    return f"R1, a penalty on D's slope at real pictures: --set 'family.penalty={{kind: r1}}'{norm}"


def _penalty_weight(config: RunConfig | None) -> str | None:
    game = _game(config)
    if game is None or game.penalty is None:
        return None
    return f"a smaller weight: --set family.penalty.weight={game.penalty.weight / 2:g}"


def _roll_back(config: RunConfig | None) -> str | None:
    if config is not None and config.on_collapse == "rollback":
        return None
    return "from now on, go back by itself when it happens: --set on_collapse=rollback"


def _longer(config: RunConfig | None) -> str | None:
    return f"twice the time: `ganvas train --resume RUN {config.train.twice if config else '--images N'}`; recall rises late"


def _faster(config: RunConfig | None) -> str | None:
    """For GANs, which learn slowly on a processor."""
    if config is not None and not isinstance(config.family, PlayersConfig):
        return None
    return "what learns faster on a processor: `ganvas train --data DATA --budget TIME`, without a recipe, chooses it"


def _mix(config: RunConfig | None) -> str | None:
    """For families whose new pictures are made of real ones' codes."""
    codes = None if config is None else getattr(config.family, "codes", None)
    if codes is None:
        return None
    mixed = "" if codes.blend == 1 else ", and the next run can mix them further, --set family.codes.blend=1"
    return f"new pictures farther from real ones' codes: `ganvas sweep-noise RUN OUT` finds the --noise that this takes{mixed}"


def _told(config: RunConfig | None) -> str | None:
    """For a generator alone that is told codes, and learns real pictures as they are."""
    if config is None or not isinstance(config.family, CodedConfig) or config.family.codes.augment is not None:
        return None
    # Most photographs are mirrored, and few drawings.
    usual = CHANGES_OF_PHOTOGRAPHS if config.augment.flip else CHANGES_OF_DRAWINGS
    how = yaml.safe_dump(usual.model_dump(mode="json", exclude_defaults=True), default_flow_style=True).strip()
    return f"in the next run, changed pictures to learn beside these, of which codes tell: --set 'family.codes.augment={how}'"


def _no_codes(config: RunConfig | None) -> str | None:
    """For the same: a recipe that holds nothing of single pictures."""
    return None if config is None or not hasattr(config.family, "codes") else "a recipe that is told no codes, such as matching64"


_BEST = _say("the best checkpoint is kept: `ganvas sample` and `ganvas evaluate` use it")
_PATIENCE = _say("patience: look again later; nothing is wrong with a young run")
_FRESH = _say("what was best before it copied, where there was such a moment: `--checkpoint fresh` for `ganvas sample` and the rest")
_SHORTER = _say("a shorter training: copies come of showing each picture often")
_LOOK = _say("look at them: `ganvas neighbours RUN` shows each beside what it is near to")
_PICTURES = _say("more pictures: a few thousand at least, better tens of thousands")

REMEDIES: dict[str, tuple[Remedy, ...]] = {
    "mode collapse": (_latent, _clip, _tanh, _batch_norm, _adam, _lower_rates, _momentum, _augment, _spectral_norm, _batch, _roll_back),
    "dead pictures": (_clip, _tanh, _batch_norm, _adam, _lower_rates, _momentum, _spectral_norm, _roll_back),
    "noise": (_clip, _adam, _lower_rates, _batch_norm, _momentum, _spectral_norm, _roll_back),
    "not finite": (_adam, _lower_rates, _clip, _momentum, _say("full precision: --precision fp32"), _roll_back),
    "little recall": (_longer, _latent, _augment, _batch),
    "little recall in the end": (_longer, _latent, _augment, _batch),
    "unlike real pictures": (_longer, _faster, _augment, _lower_rate_d),
    "frozen": (_higher_rate, _clip, _lower_rate_d, _spectral_norm, _penalty, _batch_norm),
    "restless": (_lower_rates, _momentum, _average, _spectral_norm, _penalty),
    "discriminator wins": (_augment, _lower_rate_d, _smooth, _spectral_norm, _penalty),
    "learning by heart": (_augment, _PICTURES, _mirror, _penalty, _BEST),
    "getting worse": (_BEST, _lower_rates, _augment, _roll_back),
    "recall falls": (_BEST, _augment, _lower_rates, _batch),
    "near-copies": (_FRESH, _mix, _told, _mirror, _augment, _PICTURES, _SHORTER, _no_codes, _LOOK),
    "gradients": (_lower_rates, _clip, _spectral_norm, _batch_norm),
    "penalty explodes": (_penalty_weight, _lower_rate_d),
    "not learnt yet": (_PATIENCE,),
}
