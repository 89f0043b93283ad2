"""The loop: it owns averages, learning rates, counting, files and time, and knows neither G nor D."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from ganvas import rng
from ganvas.augment.real import RealAugment
from ganvas.config.run import RunConfig
from ganvas.data.packed import PackedDataset
from ganvas.errors import TrainingFailed, UsageError
from ganvas.families.base import Family, Stateful, StepState
from ganvas.progress import Progress
from ganvas.runs import RunFolder, State
from ganvas.training import checkpoint
from ganvas.training.budget import Plan
from ganvas.training.energy import Meter, Spent
from ganvas.training.hooks import Answer, Hook, Moment, Verdict
from ganvas.training.log import Means, MetricsLog
from ganvas.training.pictures import Pictures
from ganvas.training.power_ema import build_ema
from ganvas.training.probes import norms, probe
from ganvas.training.rollback import Rollbacks
from ganvas.training.schedule import build_schedule
from ganvas.training.status import StatusFile
from ganvas.training.stopping import Stopping
from ganvas.training.stream import Stream, class_weights
from ganvas.training.timing import Timing
from ganvas.units import format_duration, parse_duration

HEARTBEAT = 5.0


class NotFinite(TrainingFailed):
    """NaN or Inf."""


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
        self._timing = Timing()
        self._stopping = Stopping(folder, self._timing, self.started)
        self._pictures = Pictures(config, family, self.ema, self.state, folder)
        self.rollbacks = Rollbacks()
        self._status = StatusFile(folder, self.plan, self.started)

    def _plan(self, pictures: int) -> Plan:
        length, batch = self.config.train, self.config.train.batch
        if length.budget is not None:
            return Plan(None, parse_duration(length.budget), batch, self.folder.path / "plan.json")
        return Plan(max(1, length.total(pictures) or 0), None, batch)

    # -- going on from a checkpoint ----------------------------------------------------------------------------------

    def load(self, saved: checkpoint.Checkpoint) -> None:
        """Take up a checkpoint: the run goes on as if it had not stopped."""
        owners = self._restore(saved)
        if "rollbacks" in owners:
            self.rollbacks.load_state_dict(owners["rollbacks"])
            self.rollbacks.write(self.folder)
        self.seconds_before = saved.facts["seconds"]
        self._spent_before = Spent(saved.facts.get("cpu_seconds"), saved.facts.get("joules"))

    def _restore(self, saved: checkpoint.Checkpoint) -> dict[str, Any]:
        """Put everything that learns or counts back to a checkpoint, and forget what was written later; its owners' states."""
        for name, module in self.family.modules().items():
            saved.load_module(name, module)
        if self.ema:
            for name, module in self.ema.modules.items():
                saved.load_module(f"{name}_ema", module)
        owners = saved.owners()
        if self.ema and "ema" in owners:
            self.ema.load_state_dict(owners["ema"], saved.images)
        if isinstance(self.family, Stateful) and "family" in owners:
            self.family.load_state_dict(owners["family"])
        for name, optimizer in self.family.optimizers().items():
            checkpoint.load_optimizer(optimizer, owners["optimizers"][name])
        if "schedule" in owners:
            self.schedule.load_state_dict(owners["schedule"])
        self._means.load_state_dict(owners["means"])
        self.state.images = self.stream.position = saved.images
        self.state.step = saved.facts["step"]
        self._pictures.outdate()
        self.folder.forget(saved.images)
        # Hooks last: they may read what the run's files hold.
        for hook in self.hooks:
            if hook.name in owners["hooks"]:
                hook.load_state_dict(owners["hooks"][hook.name])
        return owners

    def _save(self, name: str) -> None:
        for module, m in self.family.modules().items():
            if not all(bool(torch.isfinite(p).all()) for p in m.parameters()):
                raise NotFinite(self._not_finite(f"a parameter of the {module}"))
        modules: dict[str, nn.Module] = dict(self.family.modules())
        if self.ema:
            self._pictures.sampler()
            modules |= {f"{module}_ema": m for module, m in self.ema.modules.items()}
        owners = {
            "optimizers": {n: checkpoint.optimizer_state(o) for n, o in self.family.optimizers().items()},
            "hooks": {hook.name: hook.state_dict() for hook in self.hooks},
            "schedule": self.schedule.state_dict(),
            "means": self._means.state_dict(),
            "rollbacks": self.rollbacks.state_dict(),
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
        with Progress("training", total, quiet=self.quiet, interval=10.0, initial=shown) as progress, self._stopping.signals(progress.say):
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
            self._pictures.write_grid()
        last_saved = self.state.images if (self.folder.checkpoints / "last").exists() else None
        while not self._ended():
            try:
                saved = self._advance(progress)
            except NotFinite as error:
                if self.config.on_collapse != "rollback" or not self._roll_back(Answer(Verdict.ROLL_BACK, str(error)), progress):
                    raise
                saved = True
            if saved:
                last_saved = self.state.images
            if self._plan_review():
                progress.retarget(self.plan.total(self.state.images))
            if self._must_stop(stop_after):
                break
            if self._timing.since_heartbeat() >= HEARTBEAT:
                self._write_status("running")
        finished = self._ended()
        if finished:
            self.plan.complete()
            self._pictures.write_grid()
            self._call_hooks(progress, last=True)
        self._flush_log()
        if last_saved != self.state.images or finished:
            self._save("last")
        return Outcome("finished" if finished else "stopped", self.state.images, None if finished else self._stopping.reason)

    def _advance(self, progress: Progress) -> bool:
        """A step and whatever is due after it; whether a checkpoint was saved.

        Raises:
            NotFinite: a loss or a parameter became NaN or Inf.
        """
        with self._timing.step():
            self._timing.shown(self._step())
        progress.update(self.state.images - progress.count, self._note())
        return self._events(progress)

    def _must_stop(self, stop_after: float | None) -> bool:
        return self._stopping.due(stop_after)

    def _ended(self) -> bool:
        total = self.plan.total(self.state.images)
        return total is not None and self.state.images >= total

    def _step(self) -> int:
        """One step of the family; the pictures that it showed."""
        state = self.state
        total = self.plan.total(state.images)
        scale, state.annealed = self.schedule.factor(state.images, total), self.schedule.annealed(state.images, total)
        scale *= self.rollbacks.factor
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
            raise NotFinite(self._not_finite(", ".join(broken)))

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
                self._pictures.write_grid()
        asked = self._call_hooks(progress, last=False)
        if asked is not None and self._roll_back(asked, progress):
            return True
        if self._due(self.config.checkpoint.every):
            with self._timing.overhead(), self._timing.saving():
                self._save("last")
            return True
        return False

    def _due(self, every: int) -> bool:
        before = self.state.images - self._timing.last_pictures
        return self.state.images // every > before // every

    def _call_hooks(self, progress: Progress, last: bool) -> Answer | None:
        """Call those that are due, or all at the run's end; the answer that asks for a roll back, if there is one."""
        asked = None
        for hook in self.hooks:
            if not last and not hook.due(self.state.images, self.plan.total(self.state.images)):
                continue
            answer = hook(self._moment(progress, last))
            if answer.verdict is Verdict.STOP and not last:
                self._stopping.ask(answer.reason or f"{hook.name} asked for it")
            elif answer.verdict is Verdict.ROLL_BACK and not last:
                asked = asked or answer
            self._status.best = hook.state_dict().get("best") or self._status.best
        return asked

    def _moment(self, progress: Progress, last: bool) -> Moment:
        return Moment(
            self.folder,
            self.state.images,
            self.plan.total(self.state.images),
            self.seconds,
            last,
            self._pictures.sampler,
            self._pictures.live,
            self._save,
            progress.say,
            # The end of a run is evaluated whatever its length: a run that is then made longer must not differ by that.
            _ignore if last else self.schedule.observe,
        )

    def _roll_back(self, asked: Answer, progress: Progress) -> bool:
        """Go on from the best checkpoint with gentler settings; False: that can't be done, and the session stops."""
        best = self.folder.checkpoints / "best"
        if self.rollbacks.exhausted:
            self._stopping.ask(f"{asked.reason} (rolled back {len(self.rollbacks.records)} times already)")
            return False
        saved = checkpoint.Checkpoint(best) if best.exists() else None
        if saved is None or (asked.since is not None and saved.images >= asked.since):
            self._stopping.ask(f"{asked.reason} (there is no checkpoint from before that to roll back to)")
            return False
        collapsed_at = self.state.images
        self._restore(saved)
        self.plan.forget(saved.images)
        self.rollbacks.add(collapsed_at, saved.images, asked.reason)
        # Saved before it is told: a run that is killed now resumes from here, and not into the same collapse.
        self._save("last")
        self.rollbacks.write(self.folder)
        progress.update(self.state.images - progress.count)
        number, rates = len(self.rollbacks.records), self.rollbacks.factor
        progress.say(f"rolled back to {saved.images:,} pictures (number {number}); learning rates are now {rates:g} of the config's")
        return True

    # -- time --------------------------------------------------------------------------------------------------------

    def _plan_review(self) -> bool:
        total = self.plan.total(self.state.images)
        costs = sum(hook.cost() for hook in self.hooks)
        final = costs + 1.5 * self._timing.saving_seconds + self._timing.step_seconds + 0.5
        still = sum(hook.cost() * hook.remaining(self.state.images, total) for hook in self.hooks) if total else costs * 2
        return self.plan.review(self.state.images, self.seconds, time.time() - self._timing.began, self._timing.rate, final + still, final)

    # -- what is written ---------------------------------------------------------------------------------------------

    def _flush_log(self) -> None:
        if not self._means.count:
            return
        self._check_finite()
        line: dict[str, Any] = {"images": self.state.images, "step": self.state.step, "seconds": round(self.seconds, 3)}
        line["pictures_per_second"] = self._timing.recent_rate()
        line |= self._means.take()
        for name, optimizer in self.family.optimizers().items():
            line[f"lr_{name[0]}"] = optimizer.param_groups[0]["lr"]
        line |= norms(self.family.optimizers())
        line |= probe(self.family, {"train": self.stream, "heldout": self.held_out}, self.state)
        line |= {name: round(value, 3) for name, value in asdict(self.spent).items() if value is not None}
        self._log.write(line)

    def _note(self) -> str:
        shown = self._means.peek()
        words = [f"{name.removeprefix('loss_').upper()} {shown[name]:.2f}" for name in ("loss_d", "loss_g") if name in shown]
        if self.config.train.budget and self.plan.budget:
            words.append(f"{format_duration(self.plan.budget - self.seconds)} left")
        return ", ".join(words)

    def _write_status(self, state: State, reason: str | None = None) -> None:
        self._timing.heartbeat()
        self._status.write(state, reason, self.state.images, self.seconds, self._timing.rate, self.spent)


def _ignore(_kid: float) -> None:
    """What a schedule hears of the evaluation at the end."""
