"""The loop: it owns averages, learning rates, counting, files and time, and knows neither G nor D."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ganvas import artifact, rng
from ganvas.augment.real import RealAugment
from ganvas.config.run import RunConfig
from ganvas.data.packed import PackedDataset
from ganvas.errors import TrainingFailed, UsageError
from ganvas.families.base import Family, Stateful, StepState
from ganvas.progress import Progress
from ganvas.runs import RunFolder, State, Status, truncate_lines
from ganvas.sampling.grid import grid, write_png
from ganvas.sampling.render import CHUNK, Sampler, render
from ganvas.training import checkpoint
from ganvas.training.budget import Plan
from ganvas.training.ema import pass_fixed_latents, restimate_batch_norms
from ganvas.training.energy import Meter, Spent
from ganvas.training.hooks import Hook, Moment, Verdict
from ganvas.training.log import Means, MetricsLog
from ganvas.training.power_ema import build_ema
from ganvas.training.schedule import build_schedule
from ganvas.training.stream import Stream
from ganvas.units import format_duration, parse_duration

HEARTBEAT = 5.0
PROBE_PICTURES = 256


@dataclass(frozen=True)
class Outcome:
    """How a session of training ended."""

    state: State
    images: int
    reason: str | None


class Trainer:
    """One session of a run: from a checkpoint or the start, to its end or a stop."""

    def __init__(
        self,
        config: RunConfig,
        family: Family,
        data: PackedDataset,
        folder: RunFolder,
        *,
        device: torch.device,
        precision: str,
        hooks: Sequence[Hook] = (),
        started: float | None = None,
        quiet: bool = False,
    ):
        """`started`: the Unix time from which a budget counts (default: now).

        Raises:
            UsageError: fewer training pictures than a batch.
        """
        self.config, self.family, self.folder, self.hooks, self.quiet = config, family, folder, list(hooks), quiet
        self.started = time.time() if started is None else started
        train = data.split("train")
        if len(train) < config.train.batch:
            raise UsageError(
                f"{data.path} has {len(train):,} training pictures, fewer than a batch of {config.train.batch}: "
                f"use --batch {max(1, len(train))} or less, or more pictures"
            )
        weights = class_weights(train.labels, len(data.classes)) if family.classes else None
        self.state = StepState(config.seed, device, precision, label_weights=weights)
        augment = RealAugment(config.augment, config.seed)
        self.stream = Stream(train, config.train.batch, config.seed, device, augment, labelled=family.classes > 0)
        held_out = data.held_out()
        self.held_out = Stream(held_out, config.train.batch, config.seed, device, None, family.classes > 0) if held_out else None
        averaged = {name: family.modules()[name] for name in family.averaged}
        self.ema = build_ema(config.ema, averaged, folder.averages) if config.ema else None
        self.plan = self._plan(len(train))
        self.schedule = build_schedule(config.schedule)
        self.seconds_before = 0.0
        self._spent_before, self._meter = Spent(), Meter()
        self._rates = {name: [g["lr"] for g in o.param_groups] for name, o in family.optimizers().items()}
        self._log = MetricsLog(folder, config.log.tensorboard)
        self._means = Means()
        self._fitted_at: int | None = None
        self._timing = _Timing()
        self._stop_reason: str | None = None
        self._best: dict[str, float] | None = None

    def _plan(self, pictures: int) -> Plan:
        length, batch = self.config.train, self.config.train.batch
        if length.budget is not None:
            return Plan(None, parse_duration(length.budget), batch, self.folder.path / "plan.json")
        total = length.images if length.images is not None else round((length.epochs or 0) * pictures)
        return Plan(max(1, total), None, batch)

    # -- going on from a checkpoint ----------------------------------------------------------------------------------

    def load(self, saved: checkpoint.Checkpoint) -> None:
        """Take up a checkpoint: the run goes on as if it had not stopped."""
        for name, module in self.family.modules().items():
            saved.load_module(name, module)
        if self.ema:
            for name, module in self.ema.modules.items():
                saved.load_module(f"{name}_ema", module)
        owners = saved.owners()
        if self.ema and "ema" in owners:
            self.ema.load_state_dict(owners["ema"], saved.images)
        for name, optimizer in self.family.optimizers().items():
            checkpoint.load_optimizer(optimizer, owners["optimizers"][name])
        for hook in self.hooks:
            if hook.name in owners["hooks"]:
                hook.load_state_dict(owners["hooks"][hook.name])
        if isinstance(self.family, Stateful) and "family" in owners:
            self.family.load_state_dict(owners["family"])
        if "schedule" in owners:
            self.schedule.load_state_dict(owners["schedule"])
        self._means.load_state_dict(owners["means"])
        self.state.images = self.stream.position = saved.images
        self.state.step = saved.facts["step"]
        self.seconds_before = saved.facts["seconds"]
        self._spent_before = Spent(saved.facts.get("cpu_seconds"), saved.facts.get("joules"))
        truncate_lines(self.folder.metrics_file, saved.images)
        truncate_lines(self.folder.evaluations_file, saved.images)
        for images, path in self.folder.grids():
            if images > saved.images:
                path.unlink()

    def _save(self, name: str) -> None:
        for module, m in self.family.modules().items():
            if not all(bool(torch.isfinite(p).all()) for p in m.parameters()):
                raise TrainingFailed(self._not_finite(f"a parameter of the {module}"))
        modules: dict[str, nn.Module] = dict(self.family.modules())
        if self.ema:
            self._sampler()
            modules |= {f"{module}_ema": m for module, m in self.ema.modules.items()}
        owners = {
            "optimizers": {n: checkpoint.optimizer_state(o) for n, o in self.family.optimizers().items()},
            "hooks": {hook.name: hook.state_dict() for hook in self.hooks},
            "schedule": self.schedule.state_dict(),
            "means": self._means.state_dict(),
        }
        if isinstance(self.family, Stateful):
            owners["family"] = self.family.state_dict()
        if self.ema:
            owners["ema"] = self.ema.state_dict()
        facts = {"images": self.state.images, "step": self.state.step, "seconds": self.seconds, "seed": self.config.seed}
        facts |= asdict(self.spent)
        checkpoint.save(self.folder.checkpoints / name, modules, owners, facts)

    # -- the loop ----------------------------------------------------------------------------------------------------

    @property
    def seconds(self) -> float:
        """Time spent so far, over all sessions."""
        return self.seconds_before + time.time() - self.started

    @property
    def spent(self) -> Spent:
        """Processor time and energy so far, over all sessions."""
        return self._spent_before.plus(self._meter.read())

    def run(self, stop_after: float | None = None) -> Outcome:
        """Train until the plan's end, `stop_after` seconds, a signal or `control/stop`; always saved.

        Raises:
            TrainingFailed: NaN or Inf; the last good checkpoint stays.
            UserError: the disk is full; earlier checkpoints stay.
        """
        self.folder.stop_file.unlink(missing_ok=True)
        self._write_status("running")
        total = self.plan.total(self.state.images)
        shown = self.state.images
        with Progress("training", total, quiet=self.quiet, interval=10.0, initial=shown) as progress, self._signals(progress):
            try:
                outcome = self._run(progress, stop_after)
            except BaseException as error:
                self._write_status("failed", str(error) or type(error).__name__)
                raise
            finally:
                self._log.close()
        self._write_status(outcome.state, outcome.reason)
        return outcome

    def _run(self, progress: Progress, stop_after: float | None) -> Outcome:
        if self.state.images == 0:
            self._grid()
        last_saved = self.state.images if (self.folder.checkpoints / "last").exists() else None
        while not self._ended():
            with self._timing.step():
                self._timing.shown(self._step())
            progress.update(self.state.images - progress.count, self._note())
            if self._events(progress):
                last_saved = self.state.images
            if self._plan_review():
                progress.retarget(self.plan.total(self.state.images))
            if self._must_stop(stop_after):
                break
            self._heartbeat()
        finished = self._ended()
        if finished:
            self.plan.complete()
            self._grid()
            self._call_hooks(progress, last=True)
        self._flush_log()
        if last_saved != self.state.images or finished:
            self._save("last")
        return Outcome("finished" if finished else "stopped", self.state.images, None if finished else self._stop_reason)

    def _ended(self) -> bool:
        total = self.plan.total(self.state.images)
        return total is not None and self.state.images >= total

    def _step(self) -> int:
        """One step of the family; the pictures that it showed."""
        state = self.state
        scale = self.schedule.factor(state.images, self.plan.total(state.images))
        for name, optimizer in self.family.optimizers().items():
            for group, rate in zip(optimizer.param_groups, self._rates[name], strict=True):
                group["lr"] = rate * scale
        for name in self.family.averaged:
            if not self.family.modules()[name].training:
                self.family.modules()[name].train()
        rng.seed_torch(state.seed, "step", state.images)
        metrics = self.family.step(self.stream, state)
        shown = self.stream.position - state.images
        state.images = self.stream.position
        state.step += 1
        if self.ema:
            self.ema.update(state.images, shown)
        self._means.add(metrics)
        if state.device.type == "cpu":
            self._check_finite()
        return shown

    def _check_finite(self) -> None:
        broken = self._means.not_finite()
        if broken:
            raise TrainingFailed(self._not_finite(", ".join(broken)))

    def _not_finite(self, what: str) -> str:
        kept = self.folder.checkpoints / "last"
        there = f"the last good checkpoint is {kept}" if kept.exists() else "no checkpoint had been saved yet"
        return (
            f"training produced NaN or Inf in {what} after {self.state.images:,} pictures, and was stopped; {there}. "
            "Lower learning rates (--set family.optimizer_d.lr=1e-4) or --precision fp32 usually help"
        )

    def _events(self, progress: Progress) -> bool:
        """Whatever is due after a step; whether a checkpoint was saved."""
        with self._timing.overhead():
            if self._due(self.config.log.every):
                self._flush_log()
            if self._due(self.config.samples.every):
                self._grid()
        self._call_hooks(progress, last=False)
        if self._due(self.config.checkpoint.every):
            with self._timing.overhead(), self._timing.saving():
                self._save("last")
            return True
        return False

    def _due(self, every: int) -> bool:
        before = self.state.images - self._timing.last_pictures
        return self.state.images // every > before // every

    def _call_hooks(self, progress: Progress, last: bool) -> None:
        for hook in self.hooks:
            if not last and not hook.due(self.state.images, self.plan.total(self.state.images)):
                continue
            total = self.plan.total(self.state.images)
            # The end of a run is evaluated whatever its length: a run that is then made longer must not differ by that.
            score = _ignore if last else self.schedule.observe
            moment = Moment(self.folder, self.state.images, total, self.seconds, last, self._sampler, self._save, progress.say, score)
            if hook(moment) is Verdict.STOP and not last:
                self._stop_reason = self._stop_reason or f"{hook.name} asked for it"
            self._best = hook.state_dict().get("best") or self._best

    # -- time --------------------------------------------------------------------------------------------------------

    def _plan_review(self) -> bool:
        total = self.plan.total(self.state.images)
        costs = sum(hook.cost() for hook in self.hooks)
        final = costs + 1.5 * self._timing.saving_seconds + self._timing.step_seconds + 0.5
        still = sum(hook.cost() * hook.remaining(self.state.images, total) for hook in self.hooks) if total else costs * 2
        return self.plan.review(self.state.images, self.seconds, time.time() - self._timing.began, self._timing.rate, final + still, final)

    def _must_stop(self, stop_after: float | None) -> bool:
        if self._stop_reason is None and stop_after is not None:
            reserve = 1.5 * self._timing.saving_seconds + self._timing.step_seconds
            if time.time() - self.started + reserve >= stop_after:
                self._stop_reason = f"--stop-after {format_duration(stop_after)}"
        if self._stop_reason is None and self._timing.every_second() and self.folder.stop_file.exists():
            self._stop_reason = "control/stop"
            self.folder.stop_file.unlink(missing_ok=True)
        return self._stop_reason is not None

    @contextmanager
    def _signals(self, progress: Progress) -> Iterator[None]:
        """Ctrl-C and SIGTERM end the run after the step, saved; a second Ctrl-C ends it at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(number: int, _frame: object) -> None:
            name = signal.Signals(number).name
            if self._stop_reason is not None and number == signal.SIGINT:
                raise KeyboardInterrupt
            self._stop_reason = "Ctrl-C" if number == signal.SIGINT else name
            progress.say(f"{self._stop_reason}: saving, then stopping (Ctrl-C again: stop at once)")

        old = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)

    # -- what is written ---------------------------------------------------------------------------------------------

    def _sampler(self) -> Sampler:
        """A sampler of the averages (or of the modules, where none are kept), its batch norms fitted to now."""
        if self.ema is None:
            for name in self.family.averaged:
                self.family.modules()[name].eval()
            return self.family.sampler(self.family.modules())
        modules = {**self.family.modules(), **self.ema.modules}
        sampler = self.family.sampler(modules)
        if self._fitted_at != self.state.images:
            for module in self.ema.modules.values():
                module.eval()
            self.ema.fit_spectral_norms()
            restimate_batch_norms(self.ema.modules, lambda: pass_fixed_latents(sampler, self.state))
            self._fitted_at = self.state.images
        return sampler

    def _grid(self) -> None:
        """The same latents as ever, drawn now."""
        shape = self.config.samples
        sampler = self._sampler()
        pictures = render(
            sampler,
            shape.rows * shape.columns,
            seed=self.config.seed,
            weights=self.state.label_weights,
            device=self.state.device,
            precision=self.state.precision,
            stream="grid",
        )
        write_png(self.folder.samples / f"{self.state.images:09d}.png", grid(np.concatenate(list(pictures)), shape.columns))

    def _flush_log(self) -> None:
        if not self._means.count:
            return
        self._check_finite()
        line: dict[str, Any] = {"images": self.state.images, "step": self.state.step, "seconds": round(self.seconds, 3)}
        line["pictures_per_second"] = self._timing.recent_rate()
        line |= self._means.take()
        for name, optimizer in self.family.optimizers().items():
            line[f"lr_{name[0]}"] = optimizer.param_groups[0]["lr"]
        line |= self._probes()
        line |= {name: round(value, 3) for name, value in asdict(self.spent).items() if value is not None}
        self._log.write(line)

    def _probes(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for suffix, stream in (("train", self.stream), ("heldout", self.held_out)):
            if stream is None:
                continue
            n = len(stream.split)
            order = rng.permutation(n, self.config.seed, "probe", self.state.images)[: min(n, PROBE_PICTURES)]
            sums = Means()
            for start in range(0, len(order), CHUNK):
                part = np.sort(order[start : start + CHUNK])
                if len(part) > 1:
                    sums.add(self.family.probe(stream.at(part, 0, None), self.state))
            if sums.count:
                found |= {f"{name}_{suffix}": value for name, value in sums.take().items()}
        return found

    def _note(self) -> str:
        shown = self._means.peek()
        words = [f"{name.removeprefix('loss_').upper()} {shown[name]:.2f}" for name in ("loss_d", "loss_g") if name in shown]
        if self.config.train.budget and self.plan.budget:
            words.append(f"{format_duration(self.plan.budget - self.seconds)} left")
        return ", ".join(words)

    def _heartbeat(self) -> None:
        if self._timing.since_heartbeat() >= HEARTBEAT:
            self._write_status("running")

    def _write_status(self, state: State, reason: str | None = None) -> None:
        self._timing.heartbeat()
        total = self.plan.total(self.state.images)
        rate = self._timing.rate
        ends = time.time() + (total - self.state.images) / rate if state == "running" and total and rate else None
        if state == "running" and self.plan.budget:
            ends = self.started + self.plan.budget - self.seconds_before
        status = Status(
            state=state,
            reason=reason,
            pid=os.getpid(),
            host=socket.gethostname(),
            started=self.started,
            heartbeat=time.time(),
            images=self.state.images,
            total_images=total,
            seconds=self.seconds,
            pictures_per_second=rate,
            expected_end=ends,
            best=self._best,
            **asdict(self.spent),
        )
        artifact.write_text(self.folder.status_file, status.model_dump_json(indent=2) + "\n")


def _ignore(_kid: float) -> None:
    """What a schedule hears of the evaluation at the end."""


def class_weights(labels: np.ndarray | None, classes: int) -> Tensor | None:
    """(classes,) how often each class appears."""
    return None if labels is None else torch.from_numpy(np.bincount(labels, minlength=classes).astype(np.float64))


class _Timing:
    """Where the time goes: steps and their files, apart from evaluations."""

    def __init__(self) -> None:
        self.began = time.time()
        self.pictures = 0
        self.busy = 0.0
        self.last_pictures = 0
        self.step_seconds = 0.0
        self.saving_seconds = 0.0
        self._steps = 0
        self._beat = 0.0
        self._second = 0.0
        self._mark = (0, 0.0)

    @contextmanager
    def step(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._steps += 1
        self.step_seconds = time.perf_counter() - start
        # The first steps choose kernels and fill caches: they say nothing of those to come.
        if self._steps > 3:
            self.pictures += self.last_pictures
            self.busy += self.step_seconds

    def shown(self, pictures: int) -> None:
        self.last_pictures = pictures

    @contextmanager
    def overhead(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.busy += time.perf_counter() - start

    @contextmanager
    def saving(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.saving_seconds = time.perf_counter() - start

    @property
    def rate(self) -> float | None:
        return self.pictures / self.busy if self.pictures else None

    def recent_rate(self) -> float | None:
        pictures, busy = self.pictures - self._mark[0], self.busy - self._mark[1]
        self._mark = (self.pictures, self.busy)
        return round(pictures / busy, 3) if busy > 0 else None

    def heartbeat(self) -> None:
        self._beat = time.monotonic()

    def since_heartbeat(self) -> float:
        return time.monotonic() - self._beat

    def every_second(self) -> bool:
        now = time.monotonic()
        if now - self._second < 1:
            return False
        self._second = now
        return True
