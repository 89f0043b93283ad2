"""The pictures that a run makes of itself: samplers of its averages and of its live modules, and grids of fixed latents."""

from __future__ import annotations

import numpy as np

from ganvas.config.run import RunConfig
from ganvas.families.base import Family, StepState
from ganvas.runs import RunFolder
from ganvas.sampling.grid import grid, write_png
from ganvas.sampling.render import Sampler, render
from ganvas.training.ema import Averages, pass_fixed_latents, restimate_batch_norms


class Pictures:
    """Samplers, made when asked for: a training that never looks pays nothing."""

    def __init__(self, config: RunConfig, family: Family, ema: Averages | None, state: StepState, folder: RunFolder):
        self.config, self.family, self.ema, self.state, self.folder = config, family, ema, state, folder
        self._fitted_at: int | None = None

    def sampler(self) -> Sampler:
        """A sampler of the averages (or of the modules, where none are kept), its batch norms fitted to now."""
        if self.ema is None:
            return self.live()
        modules = {**self.family.modules(), **self.ema.modules}
        sampler = self.family.sampler(modules)
        if self._fitted_at != self.state.images:
            for module in self.ema.modules.values():
                module.eval()
            self.ema.fit_spectral_norms()
            restimate_batch_norms(self.ema.modules, lambda: pass_fixed_latents(sampler, self.state))
            self._fitted_at = self.state.images
        return sampler

    def live(self) -> Sampler:
        """A sampler of the modules as they train, with the batch norms' running statistics: nothing is fitted."""
        for name in self.family.averaged:
            self.family.modules()[name].eval()
        return self.family.sampler(self.family.modules())

    def outdate(self) -> None:
        """The weights were replaced: what was fitted to them is fitted again."""
        self._fitted_at = None

    def write_grid(self) -> None:
        """The same latents as ever, drawn now."""
        shape = self.config.samples
        pictures = render(
            self.sampler(),
            shape.rows * shape.columns,
            seed=self.config.seed,
            weights=self.state.label_weights,
            device=self.state.device,
            precision=self.state.precision,
            stream="grid",
        )
        write_png(self.folder.samples / f"{self.state.images:09d}.png", grid(np.concatenate(list(pictures)), shape.columns))
