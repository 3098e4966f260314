"""What happens around the steps of a run: evaluation, the log, saturation and early stop, checkpoints, progress.

One callback, so that the order is plain: at the end of a step evaluate (when due, or when the run would stop), judge
saturation, decide to stop and to save; TRL then logs everything in one line and saves; the checkpoint gets its final
name last. Whatever moment a run is killed at, the newest complete checkpoint and the log up to its step are whole, and
the decision to stop is kept before the checkpoint it ends with.
"""

# ruff: noqa: ARG002  (transformers passes all of these to every hook)

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from presat.config.schema import TrainConfig
from presat.errors import RunError
from presat.evaluation.evaluate import evaluate_problems
from presat.metrics import OnlineSaturation, main_set
from presat.rollouts import seed_for
from presat.tasks.rows import is_labelled
from presat.tracking.checkpoints import complete_checkpoint
from presat.tracking.evaluated import note_trained
from presat.tracking.responses import RolloutStore
from presat.tracking.state import Stop
from presat.training.grpo.groups import StepRollouts
from presat.training.runtime.trackers import tell_trackers
from presat.types import Engine, Problem, Sampling

if TYPE_CHECKING:
    from presat.training.runtime.session import Session
    from presat.verify import Verifier

Metrics = dict[str, float | None]


@dataclass
class EvalSet:
    """A named set of problems to evaluate on."""

    name: str
    problems: Sequence[Problem]
    dropped: int
    """Problems left out because their prompt is too long."""
    drawn: Mapping[str, Any] = field(default_factory=dict)
    """What decides its results (`presat.tracking.identity`); whole in the process that writes."""


@dataclass
class Evaluator:
    """Evaluates the live model on every set, over all processes, and keeps the responses.

    Attributes:
        config: the run's configuration.
        sets: what to evaluate on.
        engine: samples from the live model.
        verifier: judges.
        store: keeps the responses; None in processes that do not write.
    """

    config: TrainConfig
    sets: Sequence[EvalSet]
    engine: Engine
    verifier: Verifier
    store: RolloutStore | None

    def refuse_other_sets(self, trainer: Any) -> None:
        """Refuse processes with different sets, which would wait for each other for ever: each loads for itself.

        Raises:
            RunError: a set was left out in one process and not in another.
        """
        names = tuple(item.name for item in self.sets)
        everywhere = _gather([names]) if trainer.accelerator.num_processes > 1 else [names]
        if other := [own for own in everywhere if own != names]:
            raise RunError(
                f"Processes found different evaluation sets: {', '.join(names)} here, {', '.join(other[0])} there. Put "
                "the files where every machine sees them (PRESAT_BENCHMARKS), or set `eval.skip_missing: false`."
            )

    def due(self, step: int, last: bool) -> bool:
        """Whether to evaluate at the end of `step`."""
        return bool(self.sets) and (last or (self.config.eval.every > 0 and step % self.config.eval.every == 0))

    def __call__(self, step: int, trainer: Any) -> Metrics:
        """Evaluate; returns metrics by full name (`eval/SET/avg@16`)."""
        settings = self.config.eval
        sampling = eval_sampling(self.config)
        accelerator = trainer.accelerator
        metrics: Metrics = {}
        for item in self.sets:
            found = evaluate_problems(
                self.engine,
                self.verifier,
                item.problems,
                settings.samples,
                sampling,
                seed_for(self.config.seed, item.name),
                settings.greedy,
                share=(accelerator.process_index, accelerator.num_processes),
                gather=_gather if accelerator.num_processes > 1 else None,
            )
            metrics.update({f"eval/{item.name}/{name}": value for name, value in found.metrics.items()})
            if self.store is not None:
                note_trained(self.config.run, step, item.name, item.drawn)
            if self.store is not None and settings.save_rollouts:
                self.store.write(
                    "eval", step, found.groups, found.scores_PG, None, item.name, found.extra_PG, item.drawn
                )
        return metrics

    @property
    def main_metric(self) -> str | None:
        """The held-out score early stopping looks at: avg@k of the main set."""
        return main_metric({item.name: item.problems for item in self.sets}, self.config)


def main_metric(sets: Mapping[str, Sequence[Problem]], config: TrainConfig) -> str | None:
    """The held-out score that early stopping looks at: avg@k of the main set of those that can have a score."""
    scored = [name for name, problems in sets.items() if any(is_labelled(problem) for problem in problems)]
    main = main_set(scored, lambda name: name)
    return None if main is None else f"eval/{main}/avg@{config.eval.samples}"


def eval_sampling(config: TrainConfig) -> Sampling:
    """How evaluations draw."""
    settings = config.eval
    return Sampling(settings.temperature, settings.max_new_tokens or config.max_new_tokens, config.max_prompt_tokens)


def _gather(records: list[Any]) -> list[Any]:
    from accelerate.utils import gather_object

    return gather_object(records)


@dataclass
class RolloutSink:
    """Keeps the training responses of every n-th step, gathered from all processes, with the parts of their reward."""

    store: RolloutStore | None
    every: int
    processes: int

    def __call__(self, drawn: StepRollouts) -> None:
        """Write one step's responses."""
        if not self.every or drawn.step % self.every:
            return
        parts = _gather([drawn]) if self.processes > 1 else [drawn]
        if self.store is not None:
            groups = [group for part in parts for group in part.groups]
            scores_PN = [row for part in parts for row in part.scores_PN]
            outcomes = [outcome for part in parts for outcome in part.outcomes_P]
            rewards_PN = [outcome.values_N for outcome in outcomes]
            names = outcomes[0].parts if outcomes else ()
            extra_PN: dict[str, Any] = {
                f"reward/{name}": [outcome.parts[name] for outcome in outcomes] for name in names
            }
            truth_PN = [row for part in parts for row in part.truth_PN]
            if truth_PN != scores_PN:
                extra_PN["true_score"] = [[score.value for score in row] for row in truth_PN]
            self.store.write("train", drawn.step, groups, scores_PN, rewards_PN, extra_PG=extra_PN)


@dataclass
class Monitor(TrainerCallback):
    """The run's callback.

    Attributes:
        config: the run's configuration.
        evaluator: evaluates when due.
        saturation: the online t_sat.
        run: the run's writer, progress line and folder of checkpoints.
        trainer: the trainer.
        stop_reason: why the run stopped early.
    """

    config: TrainConfig
    evaluator: Evaluator
    saturation: OnlineSaturation
    run: Session
    trainer: Any
    stop_reason: str | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Evaluate the model as it comes, unless the run is resumed."""
        self.run.progress.start(state.global_step, self.config.steps)
        self.evaluator.refuse_other_sets(self.trainer)
        if state.global_step == 0 and self.evaluator.sets:
            self.run.progress.phase("first evaluation")
            metrics = self.evaluator(0, self.trainer)
            self._observe_score(0, metrics)
            if self.run.writer is not None:
                self.run.writer.append(0, metrics)
            tell_trackers(self.trainer, metrics)
            self.run.progress.show(0, metrics)
        self.run.progress.phase("training")

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Evaluate when due, judge saturation, decide about stopping, and save when due.

        A step at which the run would stop is evaluated first: a held-out score that still rises holds the stop back.
        """
        step = state.global_step
        pending = self.trainer._metrics["train"]
        self.saturation.observe(step, pending["reward"][-1])
        ending = step >= self.config.steps or self._reason_at(step) is not None
        metrics: Metrics = self._evaluate(step) if self.evaluator.due(step, ending) else {}
        self._observe_score(step, metrics)
        self.stop_reason = self._reason_at(step)
        if self.stop_reason is not None and self.run.writer is not None:
            self.run.writer.note_stop(Stop(step, self.stop_reason, self.config.stop.deciding))
        last = step >= self.config.steps or self.stop_reason is not None
        metrics["saturation/saturated"] = float(self.saturation.saturated)
        metrics["saturation/t_sat"] = self.saturation.t_sat
        for name, value in metrics.items():  # TRL logs what waits here, with its own metrics, in one line
            pending[name].append(math.nan if value is None else value)
        control.should_training_stop |= last
        control.should_save = last or (self.config.save_every > 0 and step % self.config.save_every == 0)

    def on_log(self, args: Any, state: Any, control: Any, logs: Metrics | None = None, **kwargs: Any) -> None:
        """Write the step's line: TRL's metrics and ours."""
        state.log_history.clear()  # every checkpoint would hold it anew; the lines are in the log
        if not logs or "loss" not in logs:  # the summary after training
            return
        if self.run.writer is not None:
            self.run.writer.append(state.global_step, logs)
        self.run.progress.show(state.global_step, logs)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Give the finished checkpoint its name."""
        if state.is_world_process_zero:
            keep, keep_weights = self.config.keep_checkpoints, self.config.keep_weights
            complete_checkpoint(self.run.checkpoints, state.global_step, keep, keep_weights)

    def _evaluate(self, step: int) -> Metrics:
        self.run.progress.phase("evaluation")
        metrics = self.evaluator(step, self.trainer)
        self.run.progress.phase("training")
        return metrics

    def _reason_at(self, step: int) -> str | None:
        """Why the run may stop at this step, by what is known so far."""
        may = self.config.stop.when == "saturated" and step < self.config.steps
        return self.saturation.stop_reason() if may else None

    def _observe_score(self, step: int, metrics: Metrics) -> None:
        if self.evaluator.main_metric:
            self.saturation.observe_score(step, metrics.get(self.evaluator.main_metric))
